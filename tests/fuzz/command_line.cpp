// Command lines of the examples: cli::Program with the options of a training example. Arguments are divided by zero bytes.

#include "common/options.h"

#include <cmath>
#include <iostream>
#include <sstream>

#include "fuzz.h"

namespace fuzz = tapegrad::fuzz;

namespace {

struct Options : common::TrainingOptions {
  std::string net = "tutorial";
  double noise = 0.5;
  tapegrad::index_t code = 2;
  bool report = false;
};

void check(const Options& o) {
  const bool fine = o.epochs >= 1 && o.batch >= 1 && std::isfinite(o.learning_rate) && o.learning_rate >= 0 &&
                    o.threads >= 1 && o.threads <= 1024 && o.max_steps >= 0 && o.checkpoint_every >= 0 &&
                    o.keep >= 1 && (o.net == "tutorial" || o.net == "wide") && std::isfinite(o.noise) &&
                    o.noise >= 0 && o.code >= 1 && o.code <= 1000 && !(o.resume && !o.load.empty());
  if (!fine) fuzz::found("the program runs with an option that it forbids");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const common::TrainingOptions defaults;  // it looks for the data set
  Options options{defaults};
  cli::Program program("example", "What an example says of itself.");
  common::add_options(program, options);
  program.add_choice("--net", options.net, {"tutorial", "wide"}, "a word");
  program.add_number("--noise", options.noise, "a number");
  program.add_whole("--code", options.code, 1, "a whole number", 1000);
  program.add_flag("--report", options.report, "a flag");

  std::vector<std::string> arguments{"example"};
  if (size > 0) arguments.emplace_back();
  for (std::size_t i = 0; i < size; ++i)
    if (data[i] == 0)
      arguments.emplace_back();
    else
      arguments.back() += static_cast<char>(data[i]);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  std::ostringstream out, errors;
  std::streambuf* const before[] = {std::cout.rdbuf(out.rdbuf()), std::cerr.rdbuf(errors.rdbuf())};
  bool ran = false;
  int code = 1;
  try {
    code = program.run(static_cast<int>(arguments.size()), argv.data(), [&] {
      ran = true;
      check(options);
      return 0;
    });
  } catch (const std::exception& error) {
    fuzz::found(std::string("run() throws ") + error.what());
  }
  std::cout.rdbuf(before[0]);
  std::cerr.rdbuf(before[1]);
  const std::string said = errors.str();
  if ((code == 0) != said.empty())
    fuzz::found("exit code " + std::to_string(code) + " with the message: " + said);
  if (code != 0 && ran) fuzz::found("the program ran, and failed");
  const bool lines =
      std::find(data, data + size, '\n') != data + size;  // an argument that has several itself
  if (code != 0 && !lines && std::count(said.begin(), said.end(), '\n') != 1)
    fuzz::found("the message is not one line: " + said);
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  for (const std::string_view line :
       {"--epochs 3 --batch=64 --learning-rate 1e-4 --threads 2",
        "--seed 18446744073709551615 --max-steps -1", "--resume --load x", "--net wide --noise nan",
        "--epoch 3", "--code 1001 --report", "--help",
        "--out a --data b --metrics c --keep 1 --checkpoint-every 0", "--batch 1 --batch 2", "word -- --x"}) {
    Bytes file(line.begin(), line.end());
    std::replace(file.begin(), file.end(), std::uint8_t{' '}, std::uint8_t{0});
    made.emplace_back("line" + std::to_string(made.size()), file);
  }
  return made;
}
