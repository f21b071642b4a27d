// Times the three convolutions of a list of shapes, through the library's functions for tensors, and prints
// rows that can be compared with other libraries' (columns: name,op,threads,ms_min,ms_median,gflops).
//
//   bench_conv --shapes conv_shapes.csv --threads 2
//
// A shape is a line: name,n,h,w,c_in,c_out,kh,kw,stride,padding,dilation,groups,kind; n, h, w, c_in is the
// input (NHWC), c_out the channels of the output, of a convolution (conv) or a transposed one (transpose).
// GFLOP/s are nominal: 2 * positions * kh * kw * c_in * c_out / groups, positions being output pixels of a
// convolution and input pixels of a transposed one.

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

struct Row {
  std::string name, padding, kind;
  tg::index_t n, h, w, c_in, c_out, kh, kw, stride, dilation, groups;
};

std::vector<Row> read_shapes(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw tg::Error("bench_conv", fmt::format("cannot open '{}': {}", path, std::strerror(errno)));
  std::vector<Row> rows;
  std::string line, cell;
  std::getline(file, line);  // the names of the columns
  while (std::getline(file, line)) {
    std::vector<std::string> cells;
    for (std::stringstream text(line); std::getline(text, cell, ',');) cells.push_back(cell);
    if (cells.size() != 13)
      throw tg::Error("bench_conv", fmt::format("'{}': not 13 columns: {}", path, line));
    const auto number = [&](std::size_t i) { return static_cast<tg::index_t>(std::stoll(cells[i])); };
    rows.push_back({cells[0], cells[9], cells[12], number(1), number(2), number(3), number(4), number(5),
                    number(6), number(7), number(8), number(10), number(11)});
  }
  return rows;
}

struct Timing {
  double least, median;  // milliseconds
};

Timing time_of(const std::function<tg::Tensor()>& f, double seconds) {
  using Clock = std::chrono::steady_clock;
  f();
  std::vector<double> times;
  for (const auto start = Clock::now();
       times.size() < 5 || std::chrono::duration<double>(Clock::now() - start).count() < seconds;) {
    const auto begin = Clock::now();
    f();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

void run(const Row& r, tg::DType dtype, int threads, double seconds, bool keep_filter) {
  const tg::Padding padding = r.padding == "SAME" ? tg::Padding::Same : tg::Padding::Valid;
  const tg::Conv2DOptions options = {
      .strides = r.stride, .padding = padding, .dilations = r.dilation, .groups = r.groups};
  const bool transpose = r.kind == "transpose";
  tg::Generator generator(1);
  const tg::Tensor x = tg::uniform({r.n, r.h, r.w, r.c_in}, -1, 1, generator, dtype);
  const tg::Shape filter = transpose ? tg::Shape{r.kh, r.kw, r.c_out / r.groups, r.c_in}
                                     : tg::Shape{r.kh, r.kw, r.c_in / r.groups, r.c_out};
  const tg::Tensor w = tg::uniform(filter, -1, 1, generator, dtype);
  std::optional<tg::RealTimeScope> kept;
  if (keep_filter) kept.emplace(std::vector{w});
  const tg::ThreadCountScope scope(threads);  // not the one thread of a RealTimeScope
  const auto forward = [&] {
    return transpose
               ? tg::conv2d_transpose(
                     x, w,
                     {.strides = r.stride, .padding = padding, .dilations = r.dilation, .groups = r.groups})
               : tg::conv2d(x, w, options);
  };
  const tg::Tensor y = forward();
  const tg::Tensor dy = tg::uniform(y.shape(), -1, 1, generator, dtype);
  const auto positions = static_cast<double>(transpose ? r.n * r.h * r.w : dy.size() / r.c_out);
  const double flops = 2 * positions * static_cast<double>(r.kh * r.kw * r.c_in * r.c_out / r.groups);
  const auto report = [&](const char* op, const std::function<tg::Tensor()>& f) {
    const Timing t = time_of(f, seconds);
    fmt::print("{},{},{},{:.4f},{:.4f},{:.2f}\n", r.name, op, threads, t.least, t.median,
               flops / t.least * 1e-6);
    std::fflush(stdout);
  };
  report("forward", forward);
  report("grad_input", [&] {
    return transpose ? tg::conv2d(dy, w, options) : tg::conv2d_backprop_input(x.shape(), w, dy, options);
  });
  report("grad_filter", [&] {
    return transpose ? tg::conv2d_backprop_filter(dy, w.shape(), x, options)
                     : tg::conv2d_backprop_filter(x, w.shape(), dy, options);
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path shapes;
  std::string only;
  int threads = tg::thread_count();
  double seconds = 0.1;
  bool doubles = false, keep_filters = false;
  cli::Program program("bench_conv", "Times conv2d, its transpose and their gradients.");
  program.add_path("--shapes", shapes, "FILE", "the shapes");
  program.require("--shapes");
  program.add_whole("--threads", threads, 1, "threads to compute with", 1024);
  program.add_number("--seconds", seconds, "for each row");
  program.add_flag("--float64", doubles, "in Float64");
  program.add_flag("--keep-filters", keep_filters,
                   "packed once, as in a batch_gradient() or a RealTimeScope");
  program.add_text("--only", only, "TEXT", "only shapes with this in their names");
  return program.run(argc, argv, [&] {
    const tg::ThreadCountScope scope(threads);
    fmt::print("name,op,threads,ms_min,ms_median,gflops\n");
    for (const Row& row : read_shapes(shapes))
      if (row.name.find(only) != std::string::npos)
        run(row, doubles ? tg::DType::Float64 : tg::DType::Float32, threads, seconds, keep_filters);
    return 0;
  });
}
