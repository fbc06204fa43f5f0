/* For any processor */
#define VARIANT plain
#define REGISTER_BYTES 16
#define N_REGISTERS 0
#include "variant.h"
