/* Whether functions can be compiled for some processors and chosen at run time; MSVC cannot. */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAS_TARGETS
#endif
