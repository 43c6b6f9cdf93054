#include <cmath>
#include <cstdio>
#include <set>
#include <string>

#include "unitvar/diagnose.hpp"

namespace unitvar {
namespace {

std::string number(const char* form, double value) {
  char text[64];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string index_text(const std::vector<std::int64_t>& index) {
  std::string text = "[";
  for (const std::int64_t i : index) text += (text.size() > 1 ? ", " : "") + std::to_string(i);
  return text + "]";
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t k = 0; k < names.size(); ++k) {
    text += (k == 0 ? "" : k + 1 == names.size() ? " and " : ", ") + names[k];
  }
  return text;
}

std::string row(const DiagnosedTensor& t) {
  return padded(t.name, 14) +
         padded(t.right    ? "right"
                : t.hidden ? "?"
                           : "WRONG",
                7) +
         padded(number("%.2e", t.error), 12) + padded(number("%.0e", t.tolerance), 11) +
         padded(number("%.1f", t.digits), 8) + index_text(t.worst_index) + ": " + number("%.9g", t.given) + ", want " +
         number("%.9g", t.wanted) + "\n";
}

std::string explained(const DiagnosisExplanation& e) {
  std::string text = joined(e.tensors) + (e.mistakes.size() > 1 ? ", two mistakes together:\n" : ":\n");
  for (const Mistake& m : e.mistakes) {
    text += "  " + m.id + ". " + m.what + "\n    docs/derivation.md " + m.equation + ": " + m.code + "\n";
  }
  return text;
}

}  // namespace

std::string to_string(const Diagnosis& d) {
  std::string text =
      padded("tensor", 21) + padded("error", 12) + padded("tolerance", 11) + padded("digits", 8) + "worst element\n";
  for (const DiagnosedTensor& t : d.tensors) text += row(t);
  text += d.right ? "\nAll given results are right.\n" : "\n";
  std::set<std::string> names;
  for (const DiagnosisExplanation& e : d.explanations) {
    text += explained(e);
    names.insert(e.tensors.begin(), e.tensors.end());
  }
  for (const DiagnosedTensor& t : d.tensors) {
    if (t.right || names.contains(t.name)) continue;
    if (t.hidden) {
      text += t.name +
              ": neither right nor wrong, since rounding of the dtype hides it. If your layer computes in a wider "
              "one, say so.\n";
      continue;
    }
    text += t.name + ": wrong, and no mistake of the catalogue explains it" +
            (t.place.empty() ? "; the error is all over the tensor.\n" : ". " + t.place + ".\n");
  }
  if (d.untold.empty()) return text;
  text += "\nCannot be told from this case:\n";
  for (const Mistake& m : d.untold) text += "  " + padded(m.id, 33) + " it shows in " + m.telling + "\n";
  return text;
}

}  // namespace unitvar
