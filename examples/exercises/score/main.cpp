// What proves that the exercises judge rightly: every untouched file is reported as not written, every solution passes, and
// every mistake of the catalogue fails, most of them by name.
//
//   exercises --exercise 6     the solution and the mistakes of exercise 6
//   exercises --untouched 6    the file as the learner finds it
//   exercises --score          all mistakes, and how many of them weaker checks would find

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "common/exercise.h"
#include "common/options.h"
#include "mistakes.h"

namespace {

using namespace exercises;
using Judge = std::function<void(Check&)>;

/// One mistake of the catalogue, of an exercise or of gradcheck's own tests.
struct Wrong {
  std::string title;
  std::vector<std::string> hints;
  std::string at;
  Judge judge;
  bool own = true;        // of an exercise, not of gradcheck's own tests
  bool gradient = false;  // whether it is a wrong number in a gradient, which gradcheck compared
};

struct Score {
  int all = 0, killed = 0, named = 0, placed = 0;
};

bool contains(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

/// Adds up, and tells of every mistake that is not named (of all, if verbose).
void score(const Exercise& exercise, Wrong& wrong, bool verbose, Score& total) {
  Check check;
  wrong.judge(check);
  ++total.all;
  const auto failed = [](const Part& p) { return p.status == Part::Status::Failed; };
  const bool killed = std::ranges::any_of(check.parts(), failed);
  bool named = false, placed = false;
  for (const Part& part : check.parts()) {  // a learner sees the first part that fails
    if (!failed(part)) continue;
    wrong.gradient = part.finding.report.has_value();
    for (const std::string& words : wrong.hints) {
      named = named || std::ranges::any_of(part.finding.hints,
                                           [&](const std::string& h) { return contains(h, words); });
    }
    placed = placed || part.function == wrong.at ||
             std::ranges::find(part.finding.tensors, wrong.at) != part.finding.tensors.end();
    break;
  }
  total.killed += killed ? 1 : 0;
  total.named += named ? 1 : 0;
  total.placed += named || placed ? 1 : 0;
  if (!verbose && killed && (named || (placed && wrong.hints.empty()))) return;
  fmt::print("{}: {}\n",
             !killed  ? "NOT FOUND"
             : named  ? "named"
             : placed ? "placed"
                      : "NEITHER NAMED NOR PLACED",
             wrong.title);
  if (!named || verbose) fmt::print("{}\n", text_of(exercise, check, false));
}

/// A mistake of gradcheck's own tests as one of an exercise: the tensor it makes wrong is the place.
Wrong shared(const tapegrad::testing::Mistake& m) {
  return {m.what, m.words, "d" + m.tensor,
          [m](Check& check) {
            check.part(m.what, "", [&] { check.backward(m.forward, m.backward, m.inputs, m.options); });
          },
          false};
}

std::vector<Wrong> mistakes_of(const Entry& entry) {
  std::vector<Wrong> all;
  for (const Mistake& m : entry.mistakes) all.push_back({m.title, m.hints, m.at, m.judge});
  return all;
}

const Entry& find(int number) {
  for (const Entry& entry : catalogue())
    if (entry.exercise.number == number) return entry;
  throw std::runtime_error(fmt::format("there is no exercise {}", number));
}

/// Whether the learner's file is still as it came, and is reported as that.
int check_untouched(const Entry& entry) {
  if (entry.untouched == nullptr) {
    fmt::print("skipped: {} has been edited\n", entry.exercise.file);
    return 0;
  }
  Check check;
  entry.untouched(check);
  const std::string text = text_of(entry.exercise, check, false);
  fmt::print("{}", text);
  const bool helpful = !check.parts().empty() && std::ranges::all_of(check.parts(), [](const Part& p) {
    return p.status == Part::Status::NotWritten && !p.look_next.empty();
  });
  if (!helpful)
    fmt::print("An untouched file must be reported as not written, with a hint where to begin.\n");
  return helpful ? 0 : 1;
}

int check_exercise(const Entry& entry, bool verbose) {
  bool good = true;
  for (const bool friendly : {false, true})
    for (const Rigour rigour : {Rigour::Strict, Rigour::OnesGradient, Rigour::Loose, Rigour::Means}) {
      Check check(rigour, friendly);
      entry.solution(check);
      if (check.passed() && !check.parts().empty()) continue;
      fmt::print("The solution does not pass {}{}:\n{}\n", name(rigour),
                 friendly ? " with friendly cases" : "", text_of(entry.exercise, check, false));
      good = false;
    }
  Score total;
  for (Wrong& wrong : mistakes_of(entry)) score(entry.exercise, wrong, verbose, total);
  fmt::print("exercise {}: killed {} of {}, hint right for {}, at least the place for {}\n",
             entry.exercise.number, total.killed, total.all, total.named, total.placed);
  return good && total.all >= 3 && total.killed == total.all && total.placed == total.all ? 0 : 1;
}

// "258 of 259".
std::string killed_of(const std::vector<Wrong>& all, Rigour rigour, bool friendly, bool gradients) {
  int killed = 0, of = 0;
  for (const Wrong& wrong : all) {
    if ((friendly && !wrong.own) || (gradients && !wrong.gradient)) continue;
    Check check(rigour, friendly);
    wrong.judge(check);
    killed += check.passed() ? 0 : 1;
    ++of;
  }
  return fmt::format("{} of {}", killed, of);
}

// The same mistakes under checks as courses use them. Gradcheck's own mistakes have sizes of their own.
void print_courses(const std::vector<Wrong>& all) {
  fmt::print(
      "Killed by checks as courses use them. All sizes: the cases of the exercises, height not width and so on.\n"
      "Courses' sizes: stride 1 and pad 1 only, height = width, square kernels (mistakes of the exercises only).\n"
      "Gradients: only mistakes that are wrong numbers in a gradient.\n\n");
  fmt::print("{:<28}  {:>12}  {:>15}  {:>12}  {:>15}\n", "", "all sizes", "courses' sizes", "gradients,",
             "gradients,");
  fmt::print("{:<28}  {:>12}  {:>15}  {:>12}  {:>15}\n", "", "", "", "all sizes", "courses' sizes");
  for (const Rigour rigour : {Rigour::Strict, Rigour::OnesGradient, Rigour::Loose, Rigour::Means})
    fmt::print("{:<28}  {:>12}  {:>15}  {:>12}  {:>15}\n", name(rigour), killed_of(all, rigour, false, false),
               killed_of(all, rigour, true, false), killed_of(all, rigour, false, true),
               killed_of(all, rigour, true, true));
}

int print_score() {
  std::vector<Wrong> all;
  Score total;
  const auto add = [&](const Exercise& exercise, Wrong wrong) {
    score(exercise, wrong, false, total);
    all.push_back(std::move(wrong));
  };
  for (const Entry& entry : catalogue())
    for (Wrong& wrong : mistakes_of(entry)) add(entry.exercise, std::move(wrong));
  const Score of_exercises = total;
  for (const auto& list : {tapegrad::testing::convolution_mistakes(), tapegrad::testing::op_mistakes()})
    for (const auto& m : list) add({}, shared(m));
  fmt::print("exercises: killed {} of {}, hint right for {}\n", of_exercises.killed, of_exercises.all,
             of_exercises.named);
  fmt::print("with those of gradcheck's own tests: killed {} of {}, hint right for {}\n\n", total.killed,
             total.all, total.named);
  print_courses(all);
  return total.killed == total.all && total.placed == total.all && total.named * 10 >= total.all * 9 &&
                 of_exercises.named * 10 >= of_exercises.all * 9
             ? 0
             : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int exercise = 0, untouched = 0;
  bool score = false, verbose = false;
  cli::Program program(
      "exercises",
      "Proves that the exercises judge rightly: untouched files, solutions, and the catalogue of mistakes.");
  const int last = exercises::catalogue().empty() ? 1 : exercises::catalogue().back().exercise.number;
  program.add_whole("--exercise", exercise, 1, "check the solution and the mistakes of this exercise", last);
  program.add_whole("--untouched", untouched, 1, "check what is said of this exercise's untouched file",
                    last);
  program.add_flag("--score", score, "how many mistakes are found and named, here and by weaker checks");
  program.add_flag("--verbose", verbose, "with --exercise: the report of every mistake");
  return program.run(argc, argv, [&] {
    if (exercise > 0) return check_exercise(find(exercise), verbose);
    if (untouched > 0) return check_untouched(find(untouched));
    if (score) return print_score();
    int failed = 0;
    for (const exercises::Entry& entry : exercises::catalogue())
      failed += check_untouched(entry) + check_exercise(entry, verbose);
    return failed == 0 ? 0 : 1;
  });
}
