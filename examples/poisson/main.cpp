// A physics-informed network (Raissi, Perdikaris, Karniadakis 2019) for Poisson's equation on the unit
// square,
//
//   u_xx + u_yy = -2 pi^2 sin(pi x) sin(pi y),   u = 0 on the boundary,
//
// whose solution sin(pi x) sin(pi y) is known. The network never sees it: its loss is the equation's residual
// at random points. The Laplacian is taken through the tape, twice, and the result is differentiated once
// more for the training.

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "common/options.h"
#include "common/training_run.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;
using std::numbers::pi;

namespace {

using common::TrainingRun;

constexpr tg::index_t kGrid = 50;  // points on a side, where the solution is looked at

// u(x, y) = x (1 - x) y (1 - y) N(x, y), which is 0 on the boundary whatever the network N is. points: [n,
// 2].
tg::Tensor solution(tg::Module& net, const tg::Tensor& points) {
  const tg::Tensor x = tg::slice(points, {{}, {0, 1}}), y = tg::slice(points, {{}, {1, 2}});
  return x * (1.0 - x) * y * (1.0 - y) * net(points);
}

tg::Tensor exact(const tg::Tensor& points) {
  const tg::Tensor x = tg::slice(points, {{}, {0, 1}}), y = tg::slice(points, {{}, {1, 2}});
  return tg::sin(pi * x) * tg::sin(pi * y);
}

// u_xx + u_yy at each point, [n, 1]. A point's u depends on that point alone, so the gradient of the sum over
// all points holds the derivatives of each.
tg::Tensor laplacian(tg::Module& net, const tg::Tensor& at) {
  tg::Tape tape;
  const tg::Tensor points = tape.watch(at);
  const tg::Tensor slope = tape.gradient(tg::sum(solution(net, points)), points, {.create_graph = true});
  tg::Tensor total;
  for (tg::index_t axis : {0, 1}) {
    const tg::Tensor along = tg::slice(slope, {{}, {axis, axis + 1}});
    const tg::Tensor second = tape.gradient(tg::sum(along), points, {.create_graph = true});
    const tg::Tensor own = tg::slice(second, {{}, {axis, axis + 1}});
    total = total.defined() ? total + own : own;
  }
  return total;
}

// All points of an n x n grid, [n * n, 2].
tg::Tensor grid_points(tg::index_t n) {
  std::vector<double> points;
  for (tg::index_t row = 0; row < n; ++row)
    for (tg::index_t column = 0; column < n; ++column) {
      points.push_back((static_cast<double>(column) + 0.5) / static_cast<double>(n));
      points.push_back((static_cast<double>(row) + 0.5) / static_cast<double>(n));
    }
  return tg::tensor(points, tg::Shape{n * n, 2});
}

// Values on the grid as a picture, blue below 0 and red above, scaled to `largest`.
void draw_map(tg::Image& image, int left, int top, const std::string& title, const tg::Tensor& values,
              tg::index_t n, double largest) {
  constexpr int pixel = 5;
  tg::draw_text(image, left, top, fmt::format("{}, {:.2g} to {:.2g}", title, -largest, largest));
  for (tg::index_t row = 0; row < n; ++row)
    for (tg::index_t column = 0; column < n; ++column) {
      const double v = std::clamp(values.at({row * n + column, 0}) / largest, -1.0, 1.0);
      const auto fade = [&](double towards) {
        return static_cast<std::uint8_t>(255 - (255 - towards) * std::abs(v));
      };
      const tg::Colour colour =
          v > 0 ? tg::Colour{fade(178), fade(24), fade(43)} : tg::Colour{fade(33), fade(102), fade(172)};
      const double x = left + static_cast<double>(column) * pixel,
                   y = top + 30 + static_cast<double>(row) * pixel;
      tg::draw_rectangle(image, {x, y}, {x + pixel, y + pixel}, colour);
    }
}

struct Options : common::TrainingOptions {
  tg::index_t steps = 1500;
  tg::index_t points = 256;
};

// On the grid, relative to the exact solution.
double relative_error(tg::Module& net, const tg::Tensor& grid) {
  const tg::Tensor known = exact(grid);
  return std::sqrt(tg::sum(tg::square(solution(net, grid) - known)).item() /
                   tg::sum(tg::square(known)).item());
}

void train(tg::Sequential& net, const Options& options, const tg::Tensor& grid, tg::Generator& generator) {
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters);
  tg::Schedule schedule =
      tg::cosine_decay({.learning_rate = 5e-3, .steps = std::max<tg::index_t>(2, options.steps)});
  TrainingRun run(options, {.total = options.steps, .per_epoch = 100}, {.metric = "error"});
  run.add("net", net).add("adam", adam).add("schedule", schedule).add("generator", generator);
  run.require("--points", options.points);
  const auto step = [&] {
    const tg::Tensor points = tg::uniform({options.points, 2}, 0, 1, generator, tg::DType::Float64);
    tg::Tape tape;
    const tg::Tensor residual = laplacian(net, points) + 2 * pi * pi * exact(points);
    const tg::Tensor loss = tg::mean(tg::square(residual));
    adam.set_learning_rate(schedule.learning_rate());
    adam.step(tape.gradient(loss, parameters));
    schedule.step();
    return TrainingRun::Values{{"residual", loss.item()}};
  };
  const auto end_epoch = [&] {
    return TrainingRun::Values{{"mean_residual", run.mean("residual")}, {"error", relative_error(net, grid)}};
  };
  run.train(step, end_epoch);
  run.draw(options.out / "training.png",
           {{"residual", "squared residual of the equation"}, {"error", "relative error of the solution"}},
           {.title = "Poisson's equation", .x_label = "step", .y_label = "", .log_y = true});
}

void draw_solution(const fs::path& path, const tg::Tensor& found, const tg::Tensor& known) {
  const tg::Tensor difference = found - known;
  tg::Image picture(345, 860, 3, tg::kWhite);
  draw_map(picture, 20, 20, "Found", found, kGrid, 1);
  draw_map(picture, 300, 20, "Exact", known, kGrid, 1);
  draw_map(picture, 580, 20, "Difference", difference, kGrid, tg::max(tg::abs(difference)).item());
  tg::draw_text(picture, 20, 315,
                "blue: negative, white: 0, red: positive; x to the right, y down, both from 0 to 1");
  tg::write_png(path, picture);
}

int run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  common::prepare_out(options);
  tg::Generator generator(options.seed);
  tg::Sequential net{tg::Dense({.in_features = 2, .units = 32, .activation = tg::tanh}, generator),
                     tg::Dense({.in_features = 32, .units = 32, .activation = tg::tanh}, generator),
                     tg::Dense({.in_features = 32, .units = 1}, generator)};
  net.to(tg::DType::Float64);
  const tg::Tensor grid = grid_points(kGrid);
  train(net, options, grid, generator);
  tg::write_safetensors(options.out / "weights.safetensors", net.state_view());
  draw_solution(options.out / "solution.png", solution(net, grid), exact(grid));
  const double error = relative_error(net, grid);
  fmt::print("relative error {:.3e}; results are in {}\n", error, options.out.string());
  return error < 0.01 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program("poisson",
                       "Solves Poisson's equation with a network; exits with 0 if the error is below 1%.");
  program.add_whole("--steps", options.steps, 1, "training steps; an epoch has 100 of them", 100'000'000);
  program.add_whole("--points", options.points, 1, "random points in a step");
  common::add_run_options(program, options);
  return program.run(argc, argv, [&] { return run(options); });
}
