#pragma once
/// Everything but the executable mathematics, which is unitvar/reference.hpp.
#include "unitvar/batch_norm.hpp"
#include "unitvar/batch_norm_layer.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/error.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/running_statistics.hpp"
#include "unitvar/version.hpp"
