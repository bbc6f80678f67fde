// The library's version; CMake reads it from here.
#pragma once

#define FAIRLEAD_VERSION_MAJOR 0
#define FAIRLEAD_VERSION_MINOR 1
#define FAIRLEAD_VERSION_PATCH 0
#define FAIRLEAD_VERSION "0.1.0"
