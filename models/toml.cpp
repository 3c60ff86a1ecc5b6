// The TOML parser; other files only declare it.
#define TOML_IMPLEMENTATION
#include <toml++/toml.h>
