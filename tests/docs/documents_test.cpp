#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

/// What the documents name is there: equations, tests, files and headings.
namespace unitvar::test {
namespace {

namespace fs = std::filesystem;

const fs::path source = UNITVAR_SOURCE;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Files below the folders of the repository whose names end in one of `endings`.
std::vector<fs::path> files_of(const std::set<std::string>& folders, const std::set<std::string>& endings) {
  std::vector<fs::path> files;
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(source / folder)) {
      if (entry.is_regular_file() && endings.contains(entry.path().extension().string())) files.push_back(entry);
    }
  }
  return files;
}

std::vector<fs::path> documents() {
  std::vector<fs::path> files = files_of({"docs"}, {".md"});
  for (const char* name : {"README.md", "HACKING.md", "CHANGELOG.md"}) files.push_back(source / name);
  return files;
}

std::string name_of(const fs::path& path) { return fs::relative(path, source).string(); }

/// Every match of the pattern.
std::vector<std::smatch> matches_of(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return {std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()};
}

int number_of(const std::smatch& match, std::size_t group = 1) { return std::stoi(match[group]); }

const std::string& derivation() {
  static const std::string text = read(source / "docs" / "derivation.md");
  return text;
}

int equations() { return static_cast<int>(matches_of(derivation(), R"(\\tag\{B(\d+)\})").size()); }

TEST(Documents, EquationsAreNumberedFromOneInTheirOrderWithoutGaps) {
  ASSERT_GE(equations(), 85);
  int expected = 0;
  for (const auto& tag : matches_of(derivation(), R"(\\tag\{B(\d+)\})")) EXPECT_EQ(number_of(tag), ++expected);
}

TEST(Documents, EveryEquationThatIsCitedExists) {
  std::vector<fs::path> files =
      files_of({"include", "src", "tests", "tools", "bench", "examples"}, {".hpp", ".cpp", ".h"});
  std::ranges::copy(documents(), std::back_inserter(files));
  const int last = equations();
  std::set<int> cited;
  for (const fs::path& path : files) {
    const std::string text = read(path);
    // B12, and names of tests: B12ToB14NameOfATest.
    for (const auto& match : matches_of(text, R"(\bB\d\w*)")) {
      const std::string word = match[0];
      for (const auto& citation : matches_of(word, R"(B(\d+))")) {
        const int number = number_of(citation);
        EXPECT_TRUE(number >= 1 && number <= last) << name_of(path) << " cites B" << number << " of " << last;
        cited.insert(number);
      }
    }
  }
  EXPECT_EQ(static_cast<int>(cited.size()), last);
}

TEST(Documents, TableAtTheEndHasEveryEquationOnceInTheirOrder) {
  const std::string table = derivation().substr(derivation().find("\n## Equation, code, test"));
  std::vector<int> firsts;
  std::set<int> listed;
  for (const auto& row : matches_of(table, R"(\n\| (B\d+[^|]*)\|)")) {
    const std::string cell = row[1];
    const auto numbers = matches_of(cell, R"(B(\d+))");
    firsts.push_back(number_of(numbers.front()));
    const bool range = cell.find(" to ") != std::string::npos;
    for (int number = number_of(numbers.front()); number <= number_of(numbers.back()); ++number) {
      const bool named = std::ranges::any_of(numbers, [&](const auto& m) { return number_of(m) == number; });
      if (!named && !range) continue;
      EXPECT_TRUE(listed.insert(number).second) << "B" << number << " twice";
    }
  }
  EXPECT_TRUE(std::ranges::is_sorted(firsts));
  EXPECT_EQ(static_cast<int>(listed.size()), equations());
}

/// The names of all tests, by their suites.
std::map<std::string, std::set<std::string>> tests_by_suite() {
  std::map<std::string, std::set<std::string>> suites;
  for (const fs::path& path : files_of({"tests"}, {".cpp"})) {
    const std::string text = read(path);
    for (const auto& match : matches_of(text, R"(\n(?:TYPED_)?TEST(?:_P|_F)?\((\w+),\s*(\w+)\))")) {
      suites[match[1]].insert(match[2]);
    }
  }
  for (const fs::path& path : files_of({"tests"}, {".txt"})) {
    const std::string text = read(path);
    for (const auto& match : matches_of(text, R"(add_test\(NAME (\w+)\.(\S+))")) suites[match[1]].insert(match[2]);
  }
  return suites;
}

/// `Suite.Name` or `Suite.*`, in code marks; `.Name` goes on with the suite before.
TEST(Documents, EveryTestThatIsNamedExists) {
  const auto suites = tests_by_suite();
  ASSERT_GT(suites.size(), 50U);
  int named = 0;
  for (const fs::path& path : documents()) {
    std::string suite;
    const std::string text = read(path);
    for (const auto& match : matches_of(text, R"(`([A-Z]\w+)?\.([A-Z]\w+|\*)`)")) {
      if (match[1].matched) suite = match[1];
      const auto found = suites.find(suite);
      const bool exists = found != suites.end() && (match[2] == "*" || found->second.contains(match[2]));
      EXPECT_TRUE(exists) << name_of(path) << " names " << match[0] << " of the suite " << suite;
      ++named;
    }
  }
  EXPECT_GT(named, 100);
}

/// In tables whose head names the suite, tests stand without it.
TEST(Documents, EveryTestNamedByItsEquationsExists) {
  std::set<std::string> names;
  for (const auto& [suite, tests] : tests_by_suite()) names.insert(tests.begin(), tests.end());
  for (const auto& match : matches_of(derivation(), R"(`(B\d+[A-Za-z]\w+)`)")) {
    EXPECT_TRUE(names.contains(match[1])) << match[1];
  }
}

/// `src/core/text.hpp`, in code marks.
TEST(Documents, EveryFileThatIsNamedExists) {
  constexpr const char* kFile =
      R"(`((?:bench|cmake|docs|examples|include|packages|python|script|src|tests|tools)/[\w./-]*\.\w+)`)";
  int named = 0;
  for (const fs::path& path : documents()) {
    const std::string text = read(path);
    for (const auto& match : matches_of(text, kFile)) {
      EXPECT_TRUE(fs::exists(source / match[1].str())) << name_of(path) << " names " << match[0];
      ++named;
    }
  }
  EXPECT_GT(named, 50);
}

/// The anchors that GitHub makes of a document's headings.
std::set<std::string> anchors_of(const std::string& text) {
  std::set<std::string> anchors;
  for (const auto& match : matches_of(text, R"((?:^|\n)#+ ([^\n]+))")) {
    std::string anchor;
    for (const char letter : match[1].str()) {
      const auto byte = static_cast<unsigned char>(letter);
      if (std::isalnum(byte) != 0 || letter == '-' || letter == '_') anchor += static_cast<char>(std::tolower(byte));
      if (letter == ' ') anchor += '-';
    }
    anchors.insert(anchor);
  }
  return anchors;
}

TEST(Documents, LinksLeadToFilesAndHeadingsThatExist) {
  for (const fs::path& path : documents()) {
    const std::string text = read(path);
    for (const auto& match : matches_of(text, R"(\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\))")) {
      const fs::path target = match[1].length() == 0 ? path : path.parent_path() / match[1].str();
      EXPECT_TRUE(fs::exists(target)) << name_of(path) << " links to " << match[0];
      if (match[2].matched) {
        EXPECT_TRUE(anchors_of(read(target)).contains(match[2])) << name_of(path) << " links to " << match[0];
      }
    }
  }
}

/// "Author 2015" without an address is hard to find.
TEST(Documents, EverySourceOfTheDerivationHasALink) {
  const std::string sources = derivation().substr(0, derivation().find("**Notation.**"));
  const std::string body = derivation().substr(sources.size());
  int cited = 0;
  for (const auto& match : matches_of(body, R"(([A-Z][a-z]+(?: et al\.)?) (?:1[89]|20)\d\d\b)")) {
    const auto rows = matches_of(sources, "\n\\| [^|]*" + match[0].str() + " \\|[^\n]*\\]\\(https://");
    EXPECT_EQ(rows.size(), 1U) << match[0];
    ++cited;
  }
  EXPECT_GT(cited, 10);
}

/// Lines of numbers between commas or bars; what stands beside the numbers is left out.
std::vector<std::vector<double>> numbers_of(const std::string& text, const std::string& line) {
  std::vector<std::vector<double>> rows;
  for (const auto& match : matches_of(text, line)) {
    rows.emplace_back();
    const std::string cells = match[0];
    for (const auto& number : matches_of(cells, R"(\d+(?:\.\d+)?)")) rows.back().push_back(std::stod(number[0]));
  }
  return rows;
}

/// Of docs/scaling.md: one exchange of 33,128 bytes.
TEST(Documents, ThePictureOfRanksIsDrawnFromTheNumbersOfItsTable) {
  const std::string text = read(source / "docs" / "scaling.md");
  const std::size_t begin = text.find("| ranks | measured | tree | ring |");
  ASSERT_NE(begin, std::string::npos);
  const auto table = numbers_of(text.substr(begin, text.find("\n\n", begin) - begin), R"(\n\| \d[^\n]*)");
  ASSERT_EQ(table.size(), 4U);
  std::multimap<double, double> measured;
  for (const auto& row : table) {
    const double ranks = row.front(), tree = row[row.size() - 2], ring = row.back();
    for (std::size_t k = 1; k + 2 < row.size(); ++k) measured.emplace(ranks, row[k]);
    const double alpha = 6.1, byte = 0.000694, bytes = 33128;  // as the script is called
    EXPECT_NEAR(tree, std::ceil(std::log2(ranks)) * (alpha + byte * bytes), 0.005 * tree) << ranks;
    EXPECT_NEAR(ring, 2 * (ranks - 1) * alpha + 2 * (ranks - 1) / ranks * byte * bytes, 0.005 * ring) << ranks;
  }
  std::multimap<double, double> drawn;
  for (const auto& row : numbers_of(read(source / "docs" / "images" / "exchange.csv"), R"([^\n]+)")) {
    ASSERT_EQ(row.size(), 3U);
    EXPECT_EQ(row[1], 33128);
    drawn.emplace(row[0], row[2]);
  }
  EXPECT_EQ(drawn, measured);
}

}  // namespace
}  // namespace unitvar::test
