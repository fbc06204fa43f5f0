/* For any processor */
#define VARIANT plain
#include "variant.h"
