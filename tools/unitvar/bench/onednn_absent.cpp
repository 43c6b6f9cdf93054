#if !UNITVAR_ONEDNN
#include "bench/onednn.hpp"

/// The program without oneDNN; bench/options.cpp refuses --against onednn before anything here is asked.
namespace unitvar::bench {

struct Onednn::Implementation {};

bool onednn_available() { return false; }
std::string onednn_version() { return "no oneDNN"; }
bool onednn_supports(std::string_view) { return false; }

Onednn::Onednn(OnednnProblem) {}  // NOLINT(performance-unnecessary-value-param): as where oneDNN is
Onednn::~Onednn() = default;
void Onednn::set_statistics(const std::vector<double>&, const std::vector<double>&) {}
std::vector<OnednnRival> Onednn::rivals(Pass) const { return {}; }

}  // namespace unitvar::bench
#endif
