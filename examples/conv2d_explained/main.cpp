// Answers the questions that people ask about conv2d and conv2d_transpose, each with a worked example: from a
// single stamp to the identity that ties the convolution, its transpose and its gradients together. Every
// claim is computed and compared while the program runs; a claim that does not hold makes the program exit
// with code 1.

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "common/options.h"
#include "pictures.h"
#include "sections.h"

namespace {

using namespace conv2d_explained;

struct Section {
  const char* name;
  const char* title;
  const char* question;
  void (*run)(Lesson&);
};

constexpr Section kSections[] = {
    {"one_stamp", "One stamp", "What does a transposed convolution do with a single pixel?", one_stamp},
    {"side_by_side", "Stamps side by side",
     "How does a transposed convolution turn a 3 x 3 image into a 6 x 6 image?", side_by_side},
    {"nearest_neighbour", "Nearest-neighbour upsampling",
     "What does Conv2DTranspose(64, (2, 2), strides=(2, 2)) do?", nearest_neighbour},
    {"overlapping_stamps", "Overlapping stamps", "Why is the first element 67, and not 603?",
     overlapping_stamps},
    {"four_steps", "Four steps", "How is a transposed convolution computed with a plain convolution?",
     four_steps_of_torch},
    {"sizes", "Sizes", "How large is the result?", sizes},
    {"matrix", "A matrix and its transpose", "What is transposed in a transposed convolution?", matrix},
    {"many_channels", "Many channels, by hand", "What happens with 4 channels in and 2 out?", many_channels},
    {"three_calls", "Three calls, one result",
     "Are conv2d_transpose, conv2d with a turned filter and conv2d_backprop_input the same?", three_calls},
    {"gradients", "Gradients are convolutions", "In how many ways can dx and dw be computed?", gradients},
    {"corrections", "Common claims, checked",
     "Which common explanations of these functions are imprecise or wrong?", corrections},
    {"identity", "One identity behind it all", "How are the four functions related?", identity},
};

/// The section with this name or number, or nullptr.
const Section* find_section(std::string_view wanted) {
  for (const Section& section : kSections)
    if (wanted == section.name || wanted == std::to_string(&section - kSections + 1)) return &section;
  return nullptr;
}

void list_sections() {
  for (const Section& section : kSections)
    fmt::print("{:2}  {:<19} {}\n", &section - kSections + 1, section.name, section.question);
}

void run_section(const Section& section, Lesson& lesson) {
  const std::string line(92, '=');
  fmt::print("{}\n{}. {}\n{}\n{}\n\n", line, &section - kSections + 1, section.title, section.question, line);
  section.run(lesson);
  fmt::print("\n");
}

/// Whether every claim of these sections holds.
bool run(std::span<const Section> sections) {
  Lesson lesson;
  for (const Section& section : sections) run_section(section, lesson);
  if (lesson.failures() == 0) {
    fmt::print("All {} claims hold.\n", lesson.claims());
    return true;
  }
  fmt::print(stderr, "conv2d_explained: {} of {} claims do not hold\n", lesson.failures(), lesson.claims());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  bool list = false;
  std::string only;
  std::filesystem::path pictures;
  cli::Program program("conv2d_explained",
                       "Explains conv2d, conv2d_transpose and their gradients with examples that run.");
  program.add_flag("--list", list, "list the sections");
  program.add_text("--only", only, "SECTION", "run one section, by its number or name",
                   [](const std::string& wanted) -> std::string {
                     if (find_section(wanted)) return "";
                     return fmt::format("must be a number from 1 to {} or a name that --list shows, got {}",
                                        std::size(kSections), wanted);
                   });
  program.add_path(
      "--pictures", pictures, "FOLDER",
      "draw the stamps, the inserted zeros and the matrix into this folder, and run nothing else");
  program.exclude("--pictures", "--list");
  program.exclude("--pictures", "--only");
  return program.run(argc, argv, [&] {
    if (program.given("--pictures")) {
      draw_pictures(pictures);
      return 0;
    }
    if (list) {
      list_sections();
      return 0;
    }
    const Section* section = only.empty() ? nullptr : find_section(only);
    return (section != nullptr ? run({section, 1}) : run(kSections)) ? 0 : 1;
  });
}
