#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unitvar/api.hpp"

/// Whether somebody's own normalization is right, and if not, which mistake explains it.
///
///   unitvar::DiagnosisCase given{.shape = {8, 3, 5, 5}, .x = x, .dy = dy};
///   given.results.dx = dx;  // what the implementation under test got
///   const unitvar::Diagnosis found = unitvar::diagnose(given);
///   std::puts(unitvar::to_string(found).c_str());
///
/// diagnose() computes everything again in double (in long double for float64), from the definition, and compares.
/// Where a result is wrong, it computes the normalization with each mistake of a catalogue (diagnosed_mistakes()) and
/// names those that give the result at hand.
namespace unitvar {

/// What is normalized together.
enum class DiagnosisOperation {
  batch_norm,     ///< a channel over the batch
  layer_norm,     ///< the last axes of one sample: those of gamma, or the last one
  rms_norm,       ///< the same, by the root of the mean square: no mean is subtracted
  group_norm,     ///< groups of channels of one sample
  instance_norm,  ///< one channel of one sample
};

/// Which axis has the channels. Not of layer_norm and rms_norm.
enum class DiagnosisLayout {
  channels_first,  ///< axis 1
  channels_last,   ///< the last axis
};

/// The type in which the implementation under test computed; it decides which errors are rounding.
enum class DiagnosisDtype { float32, float64, bfloat16, float16 };

/// What the layer gave, each tensor in C order. Empty: not given, not checked.
struct DiagnosisResults {
  std::span<const double> y, dx;                      ///< of x's shape
  std::span<const double> dgamma, dbeta;              ///< one of each parameter
  std::span<const double> mean, var;                  ///< one of each group of values; var is the biased one
  std::span<const double> rstd;                       ///< 1 / sqrt(var + eps)
  std::span<const double> running_mean, running_var;  ///< of batch_norm, after the step; var is the unbiased one
};

/// A layer's inputs and what it made of them. Spans are read only; nothing is kept.
struct DiagnosisCase {
  DiagnosisOperation operation = DiagnosisOperation::batch_norm;
  DiagnosisLayout layout = DiagnosisLayout::channels_first;
  std::vector<std::int64_t> shape{};  ///< of x, rank 1 or more; rank 1 is one channel of batch_norm, or one row
  std::int64_t groups = 1;            ///< of group_norm; divides the channels
  double eps = 1e-5;                  ///< added to var, inside of the root
  double momentum = 0.1;              ///< the weight of the new batch, as in PyTorch
  bool relu = false;                  ///< a ReLU follows: y is behind it, and dy arrives there
  bool inference = false;             ///< normalized by running_mean and running_var, which are then constants
  DiagnosisDtype dtype = DiagnosisDtype::float32;
  /// In which tensors were saved, by their names: {{"y", DiagnosisDtype::float16}}. What results lose by it is granted.
  std::vector<std::pair<std::string, DiagnosisDtype>> stored{};
  std::span<const double> x{};                            ///< required
  std::span<const double> dy{};                           ///< required where dx, dgamma or dbeta is given
  std::span<const double> gamma{}, beta{};                ///< empty: 1 and 0
  std::span<const double> running_mean{}, running_var{};  ///< before the step, of batch_norm
  DiagnosisResults results{};
};

/// A tensor of a case, by the name that it has in files and as a keyword argument.
struct DiagnosisTensor {
  std::string_view name;  ///< "x", "dgamma", "running_mean"; "running_mean_before" is that before the step
  std::span<const double>& (*of)(DiagnosisCase& given);
};

/// All of them.
[[nodiscard]] UNITVAR_API std::span<const DiagnosisTensor> diagnosis_tensors() noexcept;

/// How one result compares.
struct DiagnosedTensor {
  std::string name;  ///< "dx"
  /// |given - right| / |right| in the L2 norm. Where right cancels to less than 1 % of what is added up, in parts of
  /// that. If the whole is right and one channel, or group, is not: the same of that one.
  double error = 0;
  double tolerance = 0;    ///< errors up to this one are rounding of the dtype, on these data
  bool right = false;      ///< error <= tolerance, of the whole and of each channel, and it is not hidden
  bool hidden = false;     ///< neither right nor wrong: an error of more than 0.25 that rounding may explain
  double digits = 0;       ///< decimal digits kept: -log10(error), 17 at most
  std::int64_t worst = 0;  ///< the element with the largest error
  std::vector<std::int64_t> worst_index{};  ///< the same in the tensor's shape
  double given = 0, wanted = 0;             ///< its values
  std::string place{};  ///< of a wrong tensor that no mistake explains: where its error sits, or empty
};

/// A mistake of the catalogue.
struct Mistake {
  std::string id;        ///< "mean_path_dropped"
  std::string what;      ///< one sentence
  std::string equation;  ///< of docs/derivation.md: "B27"
  std::string code;      ///< a line that is right
  std::string telling;   ///< where it shows: "a gamma that is not 1"; of an untold one also "dgamma, not given here"
};

/// What explains wrong tensors: one mistake, or two that were made together.
struct DiagnosisExplanation {
  std::vector<std::string> tensors;
  std::vector<Mistake> mistakes;
  double error = 0;  ///< of the worst of these tensors, from what a layer with these mistakes gives
};

struct Diagnosis {
  bool right = false;   ///< all given results are
  bool hidden = false;  ///< none is wrong, and some are hidden by rounding
  std::vector<DiagnosedTensor> tensors;
  /// All that explain a wrong tensor equally well. A wrong tensor that is in none matches nothing in the catalogue.
  std::vector<DiagnosisExplanation> explanations;
  /// Mistakes that these data cannot tell: their effect on the given results is below the rounding of the dtype.
  std::vector<Mistake> untold;
};

/// Compares, and explains what is wrong.
///
/// - Formulas: docs/derivation.md B1 to B7, B27; for layer and group norm with gamma inside of the sums.
/// - Tolerance: eight times the error that the same formulas make with every operation rounded to the dtype and sums
/// one
///   after another (moments by two passes, by Welford's updates, and by sums of x - x[0]), or with a mean that is off
///   by a last digit; at least 16 units of half a last place, and for sums 4 units of the sum of absolute values; and
///   what storing costs. Each channel or group has a tolerance of its own, beside that of the whole. An error of more
///   than 0.25 is not right, even if it is within the tolerance, but hidden.
/// - A mistake is named if it gives the result within its own tolerance, and the right layer does not.
/// - Memory: some thirty doubles an element of x. Time: about 80 plain layers in double. Pairs of mistakes are tried on
///   up to 2^18 elements, and take 20 times as long.
/// - Errors (Error, before anything is computed): bad_argument for a shape, groups, eps or momentum out of range, or no
///   result; wrong_length naming the tensor, the elements seen and those wanted; null_data; overflow; too_few_values
///   for one value a group in training. Values may be NaN or infinite: where the right ones are finite, such a
///   tensor is wrong, and its worst element is named.
/// - Pure and re-entrant; one thread. No ranks.
[[nodiscard]] UNITVAR_API Diagnosis diagnose(const DiagnosisCase& given);

/// The whole catalogue.
[[nodiscard]] UNITVAR_API std::vector<Mistake> diagnosed_mistakes();

/// Lines for people: a table of the tensors, what explains them, what these data cannot tell.
[[nodiscard]] UNITVAR_API std::string to_string(const Diagnosis& diagnosis);

}  // namespace unitvar
