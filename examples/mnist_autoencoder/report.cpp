#include "report.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "common/training_run.h"

namespace tg = tapegrad;

namespace {

// The first n images, as the net takes them.
tg::Tensor first_images(const tg::Dataset& data, tg::index_t n) {
  return tg::slice(tg::read_all(data.inputs, tg::DType::Float32), {{0, std::min(n, data.inputs.size())}});
}

// What the encoder, the first two layers, makes of images: [n, features].
tg::Tensor encode(tg::Sequential& net, const tg::Tensor& images) {
  const tg::Tensor code = net[1](net[0](images));
  return tg::reshape(code, {code.shape()[0], code.size() / code.shape()[0]});
}

// Vectors of length 1 that are orthogonal to each other, from the columns of x [n, 2] (Gram and Schmidt).
tg::Tensor orthonormal(const tg::Tensor& x) {
  const tg::Tensor a = tg::slice(x, {{}, {0, 1}}), b = tg::slice(x, {{}, {1, 2}});
  const tg::Tensor u = a / tg::norm(a);
  const tg::Tensor v = b - tg::sum(u * b) * u;
  return tg::concat({u, v / tg::norm(v)}, 1);
}

// The coordinates of the rows of x along their two principal components, found by subspace iteration: [n, 2].
tg::Tensor principal_components(const tg::Tensor& x) {
  const tg::Tensor centred = x - tg::mean(x, 0, {.keepdims = true});
  tg::Generator generator(1);
  tg::Tensor directions = orthonormal(tg::normal({x.shape()[1], 2}, 0, 1, generator));
  for (int iteration = 0; iteration < 100; ++iteration)
    directions = orthonormal(tg::matmul(tg::transpose(centred), tg::matmul(centred, directions)));
  return tg::matmul(centred, directions);
}

std::vector<tg::Series> by_label(const tg::Tensor& places, const tg::Tensor& labels) {
  std::vector<tg::Series> series(10);
  for (std::size_t digit = 0; digit < series.size(); ++digit) series[digit].name = std::to_string(digit);
  for (tg::index_t i = 0; i < places.shape()[0]; ++i) {
    tg::Series& s = series.at(static_cast<std::size_t>(labels.at({i})));
    s.x.push_back(places.at({i, 0}));
    s.y.push_back(places.at({i, 1}));
  }
  return series;
}

// 3217 is 3,217, as in the model's summary.
std::string grouped(tg::index_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<int>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

void add_processes(tg::Report& report, const std::vector<common::TrainingRun::ProcessSpeed>& processes) {
  if (processes.empty()) return;
  std::vector<tg::Report::Row> rows;
  for (std::size_t i = 0; i < processes.size(); ++i)
    rows.push_back({fmt::format("{}", i), fmt::format("{:.0f}", processes[i].images_per_second),
                    fmt::format("{:.1f}%", 100 * processes[i].communication)});
  report.section("Processes").table({"Process", "Images per second", "Time in communication"}, rows);
}

void add_training(tg::Report& report, const tg::Metrics& metrics) {
  const std::vector<tg::Series> curves = {metrics.series("epochs", "loss", "training, each step"),
                                          metrics.series("epochs", "test_loss", "test, each epoch")};
  if (curves[0].x.empty()) return;
  report.section("Loss").lines(curves, {.x_label = "epoch", .y_label = "mean squared error", .log_y = true});
  const tg::Series train = metrics.series("epoch", "train_loss", ""),
                   test = metrics.series("epoch", "test_loss", "");
  std::vector<tg::Report::Row> rows;
  for (std::size_t i = 0; i < train.x.size(); ++i)
    rows.push_back(
        {fmt::format("{}", train.x[i]), fmt::format("{:.5f}", train.y[i]), fmt::format("{:.5f}", test.y[i])});
  report.table({"Epoch", "Training loss", "Test loss"}, rows);
}

}  // namespace

void write_report(const std::filesystem::path& path, const Run& run) {
  const tg::Tensor images = first_images(run.test, 1000);
  const tg::Shape one{1, images.shape()[1], images.shape()[2], images.shape()[3]};
  tg::index_t parameters = 0;
  for (const tg::Tensor& parameter : run.net.parameters()) parameters += parameter.size();

  tg::Report report("Autoencoder of handwritten digits",
                    "Two convolutions squeeze an image into 7 × 7, two transposed ones draw it again.");
  tg::Report::Facts figures = {{"Test loss (MSE)", fmt::format("{:.5f}", run.test_loss)},
                               {"Parameters", grouped(parameters)}};
  if (run.metrics != nullptr) {
    const common::Speed speed = common::speed_of(*run.metrics);
    figures.emplace_back("Steps", grouped(speed.steps));
    if (speed.seconds > 0)
      figures.emplace_back("Images per second", grouped(static_cast<tg::index_t>(speed.images_per_second())));
    figures.emplace_back("Trained for", fmt::format("{:.1f} s", speed.seconds));
  }
  report.figures(figures);
  if (run.metrics != nullptr) add_training(report, *run.metrics);
  add_processes(report, run.processes);

  const std::vector<tg::Tensor> rows = {images, run.net(images)};
  report.section("Reconstructions")
      .gallery(rows, {.caption = "Digits of the test set, and below each what the autoencoder makes of it.",
                      .labels = {"original", "drawn again"}});
  report.section("Latent space")
      .dots(by_label(principal_components(encode(run.net, images)), tg::read_all(run.test.targets)),
            {.x_label = "first principal component of the code", .y_label = "second principal component"})
      .text(
          "Each dot is a digit of the test set: what the encoder makes of it, seen along the two directions "
          "in "
          "which the codes differ most. The net never saw a label; a label stands in the middle of its "
          "dots.");
  report.section("Filters").image(tg::filters_image(dynamic_cast<tg::Conv2D&>(run.net[0]).kernel),
                                  "The first layer's filters, each scaled to its own largest weight.");
  report.section("Model").preformatted(run.net.summary(one));
  report.section("Options").facts(run.options);
  report.section("Machine").facts(tg::machine_facts());
  report.write(path);
}
