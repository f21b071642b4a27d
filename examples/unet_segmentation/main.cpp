// Trains a small U-Net to say of every pixel which kind of shape it shows, in scenes that the program draws:
// ellipses, rectangles and triangles of any colour that cover each other.

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <vector>

#include "common/options.h"
#include "common/training_run.h"
#include "scenes.h"
#include "tapegrad/tapegrad.h"
#include "unet.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;
using namespace unet_segmentation;

namespace {

using common::TrainingRun;

struct Options : common::TrainingOptions {
  tg::index_t scenes = 10000;
};

/// Counts pixels, to compare masks with predictions.
class Overlap {
 public:
  void add(const tg::Tensor& mask, const tg::Tensor& predicted) {
    for (tg::index_t c = 0; c < kClassCount; ++c) {
      const auto number = static_cast<double>(c);
      const tg::Tensor is = tg::equals(mask, number), said = tg::equals(predicted, number);
      const auto count = [](const tg::Tensor& set) {
        return tg::sum(tg::cast(set, tg::DType::Float64)).item();
      };
      both_[static_cast<std::size_t>(c)] += count(is * said);
      either_[static_cast<std::size_t>(c)] += count(is) + count(said) - count(is * said);
    }
  }
  /// Intersection over union: of the pixels that show a class or are said to, the part for which both is so.
  double iou(std::size_t c) const { return either_[c] > 0 ? both_[c] / either_[c] : 1; }
  double mean_iou() const {
    double total = 0;
    for (std::size_t c = 0; c < both_.size(); ++c) total += iou(c);
    return total / static_cast<double>(both_.size());
  }

 private:
  std::array<double, kClassCount> both_{}, either_{};
};

tg::Loader in_batches(const Scenes& scenes) {
  return tg::Loader(scenes.images, scenes.masks, {.batch_size = 50, .shuffle = false});
}

Overlap evaluate(UNet& net, const Scenes& scenes) {
  Overlap overlap;
  net.eval();
  for (const tg::Batch& batch : in_batches(scenes).epoch(0))
    overlap.add(batch.targets, tg::argmax(net(batch.inputs), -1));
  net.train();
  return overlap;
}

void write_segmentation(UNet& net, const Scenes& scenes, const fs::path& path) {
  constexpr int kShown = 7;
  constexpr std::array<tg::Colour, kClassCount> kColours{
      {{230, 230, 230}, {214, 96, 77}, {67, 147, 195}, {90, 174, 97}}};
  tg::Tensor palette = tg::zeros({kClassCount, 3}, tg::DType::UInt8);
  for (std::size_t c = 0; c < kColours.size(); ++c) {
    const auto row = static_cast<tg::index_t>(c);
    palette.set({row, 0}, kColours[c].red);
    palette.set({row, 1}, kColours[c].green);
    palette.set({row, 2}, kColours[c].blue);
  }
  const auto coloured = [&](const tg::Tensor& mask) {
    return tg::cast(tg::gather(palette, mask, 0), tg::DType::Float32) / 255.0;
  };
  net.eval();
  for (const tg::Batch& batch : in_batches(scenes).epoch(0)) {
    const tg::Tensor images = tg::slice(batch.inputs, {{0, kShown}});
    const std::vector<tg::Tensor> rows = {images, coloured(tg::slice(batch.targets, {{0, kShown}})),
                                          coloured(tg::argmax(net(images), -1))};
    std::vector<tg::LegendEntry> legend;
    for (std::size_t c = 0; c < kColours.size(); ++c) legend.push_back({kClasses[c], kColours[c]});
    tg::write_png(path, tg::sheet(rows, {.columns = kShown,
                                         .scale = 4,
                                         .gap = 4,
                                         .labels = {"image", "truth", "prediction"},
                                         .legend = legend}));
    break;
  }
  net.train();
}

void train(UNet& net, const Options& options, const Scenes& test) {
  const Scenes scenes = make_scenes(options.scenes, options.seed);
  const tg::Loader loader(scenes.images, scenes.masks, {.batch_size = options.batch, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters);
  tg::Schedule schedule = tg::one_cycle(
      {.max_learning_rate = options.learning_rate, .steps = TrainingRun::planned_steps(options, loader)});
  TrainingRun run(options, loader, {.metric = "test_iou", .higher_is_better = true});
  run.add("net", net).add("adam", adam).add("schedule", schedule).require("--epochs", options.epochs);
  const auto step = [&](const tg::Batch& batch) {
    tg::Tape tape;
    const tg::Tensor loss = tg::cross_entropy(net(batch.inputs), batch.targets);
    adam.set_learning_rate(schedule.learning_rate());
    adam.step(tape.gradient(loss, parameters));
    schedule.step();
    return TrainingRun::Values{{"loss", loss.item()}};
  };
  const auto end_epoch = [&] {
    return TrainingRun::Values{{"train_loss", run.mean("loss")},
                               {"test_iou", evaluate(net, test).mean_iou()}};
  };
  run.train(step, end_epoch);
  run.draw(options.out / "loss.png", {{"loss", "each step"}, {"train_loss", "each epoch"}},
           {.title = "Cross-entropy", .x_label = "epoch", .y_label = "", .log_y = true});
}

int run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator generator(options.seed);
  UNet net({.in_channels = 3, .classes = kClassCount}, generator);
  const Scenes test = make_scenes(200, options.seed + 1);
  common::prepare_out(options);
  if (options.load.empty()) {
    train(net, options, test);
    tg::write_safetensors(options.out / "weights.safetensors", net.state_view());
  } else {
    net.load_state(tg::read_safetensors(options.load));
  }

  write_segmentation(net, test, options.out / "segmentation.png");
  const Overlap overlap = evaluate(net, test);
  for (std::size_t c = 0; c < std::size(kClasses); ++c)
    fmt::print("{:>12}: IoU {:.3f}\n", kClasses[c], overlap.iou(c));
  fmt::print("mean IoU {:.3f}; results are in {}\n", overlap.mean_iou(), options.out.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.epochs = 4;
  options.batch = 8;
  options.learning_rate = 5e-3;
  cli::Program program(
      "unet_segmentation",
      "Trains a small U-Net to find ellipses, rectangles and triangles that cover each other.");
  common::add_options(program, options);
  program.remove("--data");  // the program draws its own
  program.add_whole("--scenes", options.scenes, 1, "images to train with");
  return program.run(argc, argv, [&] { return run(options); });
}
