// Writes the one file that an exercise's untouched text, its solution and its mistakes are compiled in, each in a
// namespace of its own:  exercise_generate NN NAME TITLE SOURCE_FOLDER OUTPUT

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Lines = std::vector<std::string>;

std::string trimmed(const std::string& line) {
  const std::size_t first = line.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

Lines read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read: " + std::strerror(errno));
  Lines lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// Lines of the solution, and what stands there instead.
struct Change {
  Lines from, to;
};

struct Mistake {
  std::string title, at;
  Lines hints;
  std::vector<Change> changes;
};

[[noreturn]] void refuse(const std::string& path, std::size_t line, const std::string& what) {
  throw std::runtime_error(path + ":" + std::to_string(line + 1) + ": " + what);
}

Lines split(const std::string& text) {
  Lines parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, '|');) parts.push_back(trimmed(part));
  return parts;
}

std::vector<Mistake> read_mistakes(const std::string& path) {
  const Lines lines = read(path);
  std::vector<Mistake> all;
  bool replacing = false;  // whether the last line was one with +
  for (std::size_t k = 0; k < lines.size(); ++k) {
    const std::string& line = lines[k];
    const std::size_t colon = line.find(':');
    const std::string key = colon == std::string::npos ? "" : line.substr(0, colon);
    if (line.empty() || line[0] == '#') {
      replacing = replacing || (!all.empty() && !all.back().changes.empty());
      continue;
    }
    if (key == "mistake") {
      all.push_back({trimmed(line.substr(colon + 1)), {}, {}, {}});
      replacing = false;
      continue;
    }
    if (all.empty()) refuse(path, k, "\"mistake: TITLE\" must come first, got " + line);
    Mistake& mistake = all.back();
    if (key == "hint") {
      mistake.hints = split(line.substr(colon + 1));
    } else if (key == "at") {
      mistake.at = trimmed(line.substr(colon + 1));
    } else if (line[0] == '-') {
      if (mistake.changes.empty() || replacing) mistake.changes.emplace_back();
      mistake.changes.back().from.push_back(line.substr(1));
      replacing = false;
    } else if (line[0] == '+') {
      if (mistake.changes.empty()) refuse(path, k, "a line with + must follow one with -");
      mistake.changes.back().to.push_back(line.substr(1));
      replacing = true;
    } else {
      refuse(path, k, "must be \"mistake:\", \"hint:\", \"at:\", or begin with -, + or #, got " + line);
    }
  }
  for (const Mistake& mistake : all) {
    if (mistake.hints.empty() && mistake.at.empty())
      throw std::runtime_error(path + ": \"" + mistake.title + "\" has neither hint: nor at:");
    if (mistake.changes.empty())
      throw std::runtime_error(path + ": \"" + mistake.title + "\" changes nothing");
  }
  return all;
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// Blanks and line ends do not matter, so that nothing breaks when a solution is formatted.
void apply(const Change& change, std::string& text, const std::string& title) {
  std::string dense, wanted;
  std::vector<std::size_t> at;  // where each character of dense stands in text
  for (std::size_t k = 0; k < text.size(); ++k)
    if (!std::isspace(static_cast<unsigned char>(text[k]))) dense += text[k], at.push_back(k);
  for (const char c : joined(change.from))
    if (!std::isspace(static_cast<unsigned char>(c))) wanted += c;
  std::size_t found = 0, first = 0;
  for (std::size_t k = dense.find(wanted); k != std::string::npos; k = dense.find(wanted, k + 1))
    if (found++ == 0) first = k;
  if (found != 1)
    throw std::runtime_error("\"" + title +
                             "\": these lines must stand once in the solution, and stand there " +
                             std::to_string(found) + " times: " + change.from[0]);
  const std::size_t begin = at[first], end = at[first + wanted.size() - 1] + 1;
  text.replace(begin, end - begin, joined(change.to));
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

/// Includes must not stand in a namespace: they are moved to the top.
class Unit {
 public:
  void add(const std::string& space, const std::string& path, const std::string& text) {
    body_ += "\nnamespace " + space + " {\n";
    if (!path.empty()) body_ += "#line 1 " + quoted(path) + "\n";
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const bool include = trimmed(line).rfind("#include", 0) == 0 || trimmed(line).rfind("#pragma", 0) == 0;
      if (include) includes_.insert(trimmed(line));
      body_ += (include ? "" : line) + "\n";
    }
    body_ += "}\n";
  }
  std::string text(const std::string& header) const {
    std::string all = "// Made by exercise_generate: an exercise's answers, each in its namespace.\n";
    all += "#include " + quoted(header) + "\n";
    for (const std::string& include : includes_) all += include + "\n";
    return all + body_;
  }

 private:
  std::set<std::string> includes_;
  std::string body_;
};

/// Whether the learner has written in the file: then it is not compiled here, as it may not compile.
bool edited(const std::string& folder, const std::string& file) {
  bool left = false;
  for (const std::string& line : read(folder + "/" + file))
    left = left || trimmed(line).rfind("not_written();", 0) == 0;
  if (!left) return true;
  const std::string command =
      "cd '" + folder + "' && git rev-parse HEAD >/dev/null 2>&1 && ! git diff --quiet HEAD -- '" + file +
      "' >/dev/null 2>&1 && git ls-files --error-unmatch '" + file + "' >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

std::string judge(const std::string& number, const std::string& space) {
  return "[](exercises::Check& c) { exercise_" + number + "::check(c, " + space + "::answers()); }";
}

void generate(const std::string& number, const std::string& name, const std::string& title,
              const std::string& folder, const std::string& output) {
  const std::string stem = number + "_" + name;
  const std::string solution_path = folder + "/solutions/" + stem + ".cpp";
  const std::string solution = joined(read(solution_path));
  Unit unit;
  const bool untouched = !edited(folder, stem + ".cpp");
  if (untouched)
    unit.add("catalogue_" + number + "::untouched", folder + "/" + stem + ".cpp",
             joined(read(folder + "/" + stem + ".cpp")));
  unit.add("catalogue_" + number + "::solution", solution_path, solution);
  std::string list;
  const std::string mistakes_path = folder + "/mistakes/" + stem + ".txt";
  std::size_t count = 0;
  for (const Mistake& mistake : read_mistakes(mistakes_path)) {
    std::string text = solution;
    for (const Change& change : mistake.changes) apply(change, text, stem + ": " + mistake.title);
    const std::string space = "mistake_" + std::to_string(++count);
    unit.add("catalogue_" + number + "::" + space, "", text);
    std::string hints;
    for (const std::string& hint : mistake.hints) hints += (hints.empty() ? "" : ", ") + quoted(hint);
    list += "        {" + quoted(mistake.title) + ", {" + hints + "}, " + quoted(mistake.at) +
            ",\n         " + judge(number, space) + "},\n";
  }
  std::ofstream file(output);
  file << unit.text("checks/" + stem + ".h") << "\n#line 1 " << quoted(output) << "\nnamespace catalogue_"
       << number << " {\nconst bool entered = exercises::enter(\n    {{" << std::stoi(number) << ", "
       << quoted(name) << ", " << quoted(title) << ", " << quoted("examples/exercises/" + stem + ".cpp")
       << "},\n     " << (untouched ? judge(number, "untouched") : "nullptr") << ",\n     "
       << judge(number, "solution") << ",\n     {\n"
       << list << "     }});\n}\n";
  if (!file.flush()) throw std::runtime_error(output + " cannot be written: " + std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 6) throw std::runtime_error("usage: exercise_generate NN NAME TITLE SOURCE_FOLDER OUTPUT");
    generate(argv[1], argv[2], argv[3], argv[4], argv[5]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "exercise_generate: " << error.what() << "\n";
    return 1;
  }
}
