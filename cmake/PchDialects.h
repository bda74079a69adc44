// MLIR and the dialects, precompiled for all libraries above them.
#pragma once
#include "Pch.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/RT/RT.h"
