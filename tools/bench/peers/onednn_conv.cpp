// Times oneDNN's convolutions on the shapes of conv_shapes.csv through its C++ API.
//
// Build: g++ -O2 -fopenmp onednn_conv.cpp -o onednn_conv -ldnnl
// Run:   ./onednn_conv conv_shapes.csv [max_threads [rounds [name_filter]]] > onednn_conv.csv
//
// For each shape: forward, gradient of the input, gradient of the filter, of the
// convolution (kind=conv) or the deconvolution (kind=transpose), without bias.
// layout=any  : every tensor in the layout oneDNN likes best (usually channel-blocked);
// layout=nhwc : activations fixed to plain NHWC, the filter in any layout.
// Reorders are outside the timed loop. GFLOP/s counts 2 * positions * kh * kw * c_in *
// c_out / groups with positions = n * output pixels (conv) or n * input pixels
// (transpose); taps that fall on padding are counted. impl names the kernel chosen.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <dnnl.hpp>

using namespace dnnl;
using tag = memory::format_tag;

struct Shape {
  std::string name, padding, kind;
  int n, h, w, c_in, c_out, kh, kw, stride, dilation, groups;
};

static std::vector<Shape> read_shapes(const char* path) {
  std::ifstream in(path);
  if (!in) std::fprintf(stderr, "cannot read %s\n", path), std::exit(1);
  auto split = [](const std::string& line) {
    std::vector<std::string> cells;
    std::stringstream ss(line);
    for (std::string c; std::getline(ss, c, ',');) cells.push_back(c);
    return cells;
  };
  std::string line;
  std::getline(in, line);
  auto head = split(line);
  std::vector<Shape> shapes;
  while (std::getline(in, line)) {
    auto cells = split(line);
    if (cells.size() != head.size()) continue;
    std::map<std::string, std::string> v;
    for (size_t i = 0; i < head.size(); ++i) v[head[i]] = cells[i];
    auto num = [&](const char* k) { return std::atoi(v[k].c_str()); };
    shapes.push_back({v["name"], v["padding"], v["kind"], num("n"), num("h"), num("w"), num("c_in"),
                      num("c_out"), num("kh"), num("kw"), num("stride"), num("dilation"), num("groups")});
  }
  return shapes;
}

// TensorFlow's padding rules. size is the input's extent on this axis.
struct Axis {
  int out, before, after;
};
static Axis axis(const Shape& s, int size, int k) {
  int span = (k - 1) * s.dilation + 1;
  auto same = [&](int big, int small) { return std::max((small - 1) * s.stride + span - big, 0); };
  if (s.kind == "conv") {
    if (s.padding != "SAME") return {(size - span) / s.stride + 1, 0, 0};
    int out = (size + s.stride - 1) / s.stride, total = same(size, out);
    return {out, total / 2, total - total / 2};
  }
  if (s.padding != "SAME") return {size * s.stride + std::max(span - s.stride, 0), 0, 0};
  int out = size * s.stride, total = same(out, size);
  return {out, total / 2, total - total / 2};
}

static engine cpu(engine::kind::cpu, 0);
static stream queue(cpu);

static double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

static memory filled(const memory::desc& want, const memory::dims& dims, tag plain) {
  memory p({dims, memory::data_type::f32, plain}, cpu), m(want, cpu);
  float* d = (float*)p.get_data_handle();
  for (size_t i = 0; i < p.get_desc().get_size() / sizeof(float); ++i)
    d[i] = (int)(i * 7919 % 201) * 0.01f - 1.0f;
  reorder(p, m).execute(queue, p, m);
  queue.wait();
  return m;
}

// oneDNN 3 takes the engine first and has no separate descriptor; oneDNN 2 has one.
template <class P, class... Args>
static typename P::primitive_desc describe_forward(const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(cpu, args...);
#else
  return typename P::primitive_desc({args...}, cpu);
#endif
}
template <class P, class Hint, class... Args>
static typename P::primitive_desc describe_backward(const Hint& hint, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(cpu, args..., hint);
#else
  return typename P::primitive_desc({args...}, cpu, hint);
#endif
}

struct Result {
  std::string impl;
  std::vector<double> seconds;
};

static void sample(const primitive& p, const std::unordered_map<int, memory>& args, double budget,
                   Result& r) {
  p.execute(queue, args);
  queue.wait();
  double start = now();
  for (int n = 0; n < 5 || now() - start < budget; ++n) {
    double a = now();
    p.execute(queue, args);
    queue.wait();
    r.seconds.push_back(now() - a);
  }
}

// F, D, W: the forward, backward-data and backward-weights primitives of conv or deconv.
template <class F, class D, class W>
static void run(const Shape& s, algorithm algo, bool nhwc, double budget, Result out[3]) {
  Axis y = axis(s, s.h, s.kh), x = axis(s, s.w, s.kw);
  memory::dims src_d{s.n, s.c_in, s.h, s.w}, dst_d{s.n, s.c_out, y.out, x.out};
  memory::dims wei_d = s.groups == 1
                           ? memory::dims{s.c_out, s.c_in, s.kh, s.kw}
                           : memory::dims{s.groups, s.c_out / s.groups, s.c_in / s.groups, s.kh, s.kw};
  tag wei_plain = s.groups == 1 ? tag::oihw : tag::goihw;
  auto f32 = memory::data_type::f32;
  memory::desc src(src_d, f32, nhwc ? tag::nhwc : tag::any), dst(dst_d, f32, nhwc ? tag::nhwc : tag::any);
  memory::desc wei(wei_d, f32, tag::any);
  memory::dims strides{s.stride, s.stride}, dil{s.dilation - 1, s.dilation - 1};
  memory::dims lo{y.before, x.before}, hi{y.after, x.after};
  const auto fpd =
      describe_forward<F>(prop_kind::forward_training, algo, src, wei, dst, strides, dil, lo, hi);
  {
    auto a = filled(fpd.src_desc(), src_d, tag::nchw), w = filled(fpd.weights_desc(), wei_d, wei_plain);
    memory o(fpd.dst_desc(), cpu);
    out[0].impl = fpd.impl_info_str();
    sample(F(fpd), {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, o}}, budget, out[0]);
  }
  {
    const auto pd = describe_backward<D>(fpd, algo, src, wei, dst, strides, dil, lo, hi);
    auto g = filled(pd.diff_dst_desc(), dst_d, tag::nchw), w = filled(pd.weights_desc(), wei_d, wei_plain);
    memory o(pd.diff_src_desc(), cpu);
    out[1].impl = pd.impl_info_str();
    sample(D(pd), {{DNNL_ARG_DIFF_DST, g}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_SRC, o}}, budget, out[1]);
  }
  {
    const auto pd = describe_backward<W>(fpd, algo, src, wei, dst, strides, dil, lo, hi);
    auto g = filled(pd.diff_dst_desc(), dst_d, tag::nchw), a = filled(pd.src_desc(), src_d, tag::nchw);
    memory o(pd.diff_weights_desc(), cpu);
    out[2].impl = pd.impl_info_str();
    sample(W(pd), {{DNNL_ARG_DIFF_DST, g}, {DNNL_ARG_SRC, a}, {DNNL_ARG_DIFF_WEIGHTS, o}}, budget, out[2]);
  }
}

int main(int argc, char** argv) {
  if (argc < 2)
    return std::fprintf(stderr, "usage: %s conv_shapes.csv [max_threads [rounds [name_filter]]]\n", argv[0]),
           1;
  int max_threads = argc > 2 ? std::atoi(argv[2]) : omp_get_num_procs();
  int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  std::string filter = argc > 4 ? argv[4] : "";
  const double budget = 0.05;
  auto shapes = read_shapes(argv[1]);
  const char* ops[3] = {"forward", "grad_input", "grad_filter"};
  std::map<std::string, Result> results;
  auto key = [&](size_t i, int op, int t, int nhwc) {
    char b[64];
    std::snprintf(b, sizeof b, "%04zu %d %d %d", i, op, t, nhwc);
    return std::string(b);
  };
  for (int r = 0; r < rounds; ++r)
    for (size_t i = 0; i < shapes.size(); ++i) {
      const Shape& s = shapes[i];
      if (s.name.find(filter) == std::string::npos) continue;
      for (int t = 1; t <= max_threads; ++t)
        for (int nhwc = 0; nhwc < 2; ++nhwc) {
          omp_set_num_threads(t);
          Result out[3];
          if (s.kind == "conv")
            run<convolution_forward, convolution_backward_data, convolution_backward_weights>(
                s, algorithm::convolution_direct, nhwc, budget, out);
          else
            run<deconvolution_forward, deconvolution_backward_data, deconvolution_backward_weights>(
                s, algorithm::deconvolution_direct, nhwc, budget, out);
          for (int op = 0; op < 3; ++op) {
            Result& all = results[key(i, op, t, nhwc)];
            all.impl = out[op].impl;
            all.seconds.insert(all.seconds.end(), out[op].seconds.begin(), out[op].seconds.end());
          }
        }
    }
  std::printf("name,op,threads,layout,ms_min,ms_median,gflops,impl\n");
  for (auto& [k, r] : results) {
    size_t i;
    int op, t, nhwc;
    std::sscanf(k.c_str(), "%zu %d %d %d", &i, &op, &t, &nhwc);
    const Shape& s = shapes[i];
    double pixels =
        s.kind == "conv" ? (double)axis(s, s.h, s.kh).out * axis(s, s.w, s.kw).out : (double)s.h * s.w;
    double fl = 2.0 * s.n * pixels * s.kh * s.kw * s.c_in * s.c_out / s.groups;
    std::sort(r.seconds.begin(), r.seconds.end());
    double best = r.seconds.front(), median = r.seconds[r.seconds.size() / 2];
    std::printf("%s,%s,%d,%s,%.4f,%.4f,%.2f,%s\n", s.name.c_str(), ops[op], t, nhwc ? "nhwc" : "any",
                best * 1e3, median * 1e3, fl / best * 1e-9, r.impl.c_str());
  }
}
