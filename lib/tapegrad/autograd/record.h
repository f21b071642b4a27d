#pragma once

// The name of rules.h in earlier versions.
#include "tapegrad/autograd/rules.h"
