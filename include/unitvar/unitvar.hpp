#pragma once
/// The layers. Not included: the executable mathematics (unitvar/reference.hpp) and numeric differentiation
/// (unitvar/gradcheck.hpp), which training and inference do not need.
#include "unitvar/batch_norm.hpp"
#include "unitvar/batch_norm_layer.hpp"
#include "unitvar/derivatives.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/error.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/frozen.hpp"
#include "unitvar/options.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/renorm.hpp"
#include "unitvar/running_statistics.hpp"
#include "unitvar/schedule.hpp"
#include "unitvar/version.hpp"
