#include <array>
#include <memory>

#include "mistakes.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;
using Gradients = std::vector<Tensor>;

Tensor draw(const Shape& shape, std::uint64_t stream) {
  Generator generator(3, stream);
  return normal(shape, 0, 1, generator, DType::Float64);
}

/// A tensor of rank 4 in loops. Outside of it there are zeros, and what is written there is lost.
struct Grid {
  explicit Grid(Tensor t) : tensor(std::move(t)), data(tensor.mutable_data<double>()) {
    for (int d = 0; d < 4; ++d) size[static_cast<std::size_t>(d)] = d < tensor.rank() ? tensor.shape()[d] : 1;
  }
  double& operator()(index_t a, index_t b = 0, index_t c = 0, index_t d = 0) {
    const index_t at[] = {a, b, c, d};
    index_t flat = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      if (at[k] < 0 || at[k] >= size[k]) return lost = 0;
      flat = flat * size[k] + at[k];
    }
    return data[flat];
  }
  Tensor tensor;
  double* data;
  std::array<index_t, 4> size;
  double lost = 0;
};

/// One product: large[n, h, w, c] * filter[i, j, c, o] belongs to small[n, p, q, o].
struct Term {
  index_t n, p, q, i, j, c, o, h, w;
};

/// What a loop over the terms works on. Of a convolution x is the large image; of its transpose y is.
struct View {
  Grid x, w, dy, dx, dw, db;
  index_t P, Q;  // rows and columns of the small image
};
using Body = std::function<void(View&, const Term&)>;

struct Setup {
  index_t s0, s1, d0, d1, p0, p1;  // strides, dilations, padding at the top and left
  Shape large, filter, small;
  bool transposed = false;

  template <class F>
  void for_each(F&& f) const {
    for (index_t n = 0; n < large[0]; ++n)
      for (index_t p = 0; p < small[1]; ++p)
        for (index_t q = 0; q < small[2]; ++q)
          for (index_t i = 0; i < filter[0]; ++i)
            for (index_t j = 0; j < filter[1]; ++j)
              for (index_t c = 0; c < filter[2]; ++c)
                for (index_t o = 0; o < filter[3]; ++o)
                  f(Term{n, p, q, i, j, c, o, p * s0 + i * d0 - p0, q * s1 + j * d1 - p1});
  }

  TensorFunction forward() const {
    return [s = *this](Inputs in) {
      Grid x(copy(in[0])), w(copy(in[1])), y(zeros(s.transposed ? s.large : s.small, DType::Float64));
      s.for_each([&](const Term& t) {
        if (s.transposed)
          y(t.n, t.h, t.w, t.c) += x(t.n, t.p, t.q, t.o) * w(t.i, t.j, t.c, t.o);
        else
          y(t.n, t.p, t.q, t.o) += x(t.n, t.h, t.w, t.c) * w(t.i, t.j, t.c, t.o);
      });
      return s.transposed ? y.tensor : y.tensor + in[2];
    };
  }

  Body right_dx() const {
    return transposed ? Body([](View& v, const Term& t) {
      v.dx(t.n, t.p, t.q, t.o) += v.dy(t.n, t.h, t.w, t.c) * v.w(t.i, t.j, t.c, t.o);
    })
                      : Body([](View& v, const Term& t) {
                          v.dx(t.n, t.h, t.w, t.c) += v.dy(t.n, t.p, t.q, t.o) * v.w(t.i, t.j, t.c, t.o);
                        });
  }
  Body right_dw() const {
    return transposed ? Body([](View& v, const Term& t) {
      v.dw(t.i, t.j, t.c, t.o) += v.dy(t.n, t.h, t.w, t.c) * v.x(t.n, t.p, t.q, t.o);
    })
                      : Body([](View& v, const Term& t) {
                          v.dw(t.i, t.j, t.c, t.o) += v.dy(t.n, t.p, t.q, t.o) * v.x(t.n, t.h, t.w, t.c);
                        });
  }
  static void right_db(View& v) {
    for (index_t n = 0; n < v.dy.size[0]; ++n)
      for (index_t p = 0; p < v.P; ++p)
        for (index_t q = 0; q < v.Q; ++q)
          for (index_t o = 0; o < v.dy.size[3]; ++o) v.db(o) += v.dy(n, p, q, o);
  }

  BackwardFunction backward(Body dx, Body dw, std::function<void(View&)> db = right_db,
                            std::function<void(View&)> after = {}) const {
    return [=, s = *this](Inputs in, const Tensor&, const Tensor& dy) {
      View v{Grid(copy(in[0])),
             Grid(copy(in[1])),
             Grid(copy(dy)),
             Grid(zeros(in[0].shape(), DType::Float64)),
             Grid(zeros(in[1].shape(), DType::Float64)),
             Grid(zeros({s.transposed ? s.filter[2] : s.filter[3]}, DType::Float64)),
             s.small[1],
             s.small[2]};
      s.for_each([&](const Term& t) { dx(v, t), dw(v, t); });
      if (after) after(v);
      if (s.transposed) return Gradients{v.dx.tensor, v.dw.tensor};
      db(v);
      return Gradients{v.dx.tensor, v.dw.tensor, v.db.tensor};
    };
  }

  std::vector<Tensor> inputs() const {
    std::vector<Tensor> in = {draw(transposed ? small : large, 1), draw(filter, 2)};
    if (!transposed) in.push_back(draw({filter[3]}, 3));
    return in;
  }
};

class Catalogue {
 public:
  void dx(const Setup& s, const char* what, std::vector<std::string> words, std::vector<std::string> patterns,
          Body body) {
    add(s, what, "x", std::move(words), std::move(patterns), s.backward(std::move(body), s.right_dw()));
  }
  void dw(const Setup& s, const char* what, std::vector<std::string> words, std::vector<std::string> patterns,
          Body body) {
    add(s, what, "w", std::move(words), std::move(patterns), s.backward(s.right_dx(), std::move(body)));
  }
  void db(const Setup& s, const char* what, std::vector<std::string> words, std::vector<std::string> patterns,
          std::function<void(View&)> body) {
    add(s, what, "b", std::move(words), std::move(patterns),
        s.backward(s.right_dx(), s.right_dw(), std::move(body)));
  }
  void add(const Setup& s, const char* what, const char* tensor, std::vector<std::string> words,
           std::vector<std::string> patterns, BackwardFunction backward) {
    std::vector<std::string> names = {"x", "w"}, axes = {"n h w c", "kh kw in out"};
    if (s.transposed) axes[1] = "kh kw out in";
    if (!s.transposed) names.push_back("b"), axes.push_back("out");
    all.push_back({(s.transposed ? "conv2d_transpose: " : "conv2d: ") + std::string(what),
                   tensor,
                   std::move(words),
                   std::move(patterns),
                   s.forward(),
                   std::move(backward),
                   s.inputs(),
                   {.tolerance = 1e-10, .step = 1, .names = names, .axes = axes}});
  }
  std::vector<Mistake> all;
};

// 7 x 8 images, 3 x 3 filters, 2 -> 3 channels, strides 2 and 3, padding 1.
const Setup kStrided{2, 3, 1, 1, 1, 1, {2, 7, 8, 2}, {3, 3, 2, 3}, {2, 4, 3, 3}};
const Setup kDilated{1, 1, 2, 3, 1, 2, {2, 7, 9, 2}, {3, 3, 2, 3}, {2, 5, 7, 3}};
const Setup kBoth{2, 2, 2, 2, 1, 1, {2, 7, 9, 2}, {3, 3, 2, 3}, {2, 3, 4, 3}};
// Same: the even size has its odd pixel at the bottom and right.
const Setup kSame{2, 2, 1, 1, 0, 0, {2, 6, 8, 2}, {3, 3, 2, 3}, {2, 3, 4, 3}};
// 4 x 3 to 8 x 9, with one row and column cropped at the top and left.
const Setup kTransposed{2, 3, 1, 1, 1, 1, {2, 8, 9, 2}, {3, 4, 2, 3}, {2, 4, 3, 3}, true};

double g(View& v, const Term& t) {
  return v.dy(t.n, t.p, t.q, t.o);
}

void add_geometry(Catalogue& all) {
  const Setup &s = kStrided, &d = kDilated;
  all.dx(s, "stride forgotten in dx", {"stride (2, 3) is forgotten"}, {"geometry"},
         [](View& v, const Term& t) {
           v.dx(t.n, t.p + t.i - 1, t.q + t.j - 1, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o);
         });
  all.dw(s, "stride forgotten in dw", {"stride (2, 3) is forgotten"}, {"geometry"},
         [](View& v, const Term& t) {
           v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.p + t.i - 1, t.q + t.j - 1, t.c);
         });
  all.dx(d, "dilation forgotten in dx", {"dilation (2, 3) is forgotten"}, {"geometry"},
         [](View& v, const Term& t) {
           v.dx(t.n, t.p + t.i - 1, t.q + t.j - 2, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o);
         });
  all.dw(d, "dilation forgotten in dw", {"dilation (2, 3) is forgotten"}, {"geometry"},
         [](View& v, const Term& t) {
           v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.p + t.i - 1, t.q + t.j - 2, t.c);
         });
  all.dx(s, "strides exchanged in dx", {"strides of h and w are exchanged"}, {"geometry"},
         [](View& v, const Term& t) {
           v.dx(t.n, t.p * 3 + t.i - 1, t.q * 2 + t.j - 1, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o);
         });
  all.dw(s, "strides exchanged in dw", {"strides of h and w are exchanged"}, {"geometry"},
         [](View& v, const Term& t) {
           v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.p * 3 + t.i - 1, t.q * 2 + t.j - 1, t.c);
         });
  all.dx(
      kSame, "the odd pixel on the wrong side in dx", {"odd pixel", "shifted by 1"}, {"shifted"},
      [](View& v, const Term& t) { v.dx(t.n, t.h - 1, t.w - 1, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  all.dw(
      kSame, "the odd pixel on the wrong side in dw", {"odd pixel", "shifted by 1"}, {"shifted"},
      [](View& v, const Term& t) { v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h - 1, t.w - 1, t.c); });
  all.dx(
      s, "padding not cropped from dx", {"padding 1 is forgotten", "shifted by 1"}, {"geometry", "shifted"},
      [](View& v, const Term& t) { v.dx(t.n, t.h + 1, t.w + 1, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  all.dw(
      s, "x for padded x in dw", {"padding 1 is forgotten", "shifted by 1"}, {"geometry", "shifted"},
      [](View& v, const Term& t) { v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h + 1, t.w + 1, t.c); });
  all.dx(s, "crop off by one in dx", {"off by one", "shifted by 1"}, {"shifted"},
         [](View& v, const Term& t) { v.dx(t.n, t.h - 1, t.w, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  const auto visited = [](const Term& t) { return t.p < 7 / 2 && t.q < 8 / 3; };
  const std::vector<std::string> early = {"only 3 of 4 rows and 2 of 3 columns"};
  all.dx(s, "loops to H / s in dx", early, {"missing-term"}, [=](View& v, const Term& t) {
    if (visited(t)) v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o);
  });
  all.dw(s, "loops to H / s in dw", early, {"missing-term"}, [=](View& v, const Term& t) {
    if (visited(t)) v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w, t.c);
  });
  all.db(s, "loops to H / s in db", early, {"missing-term"}, [](View& v) {
    v.P = 7 / 2, v.Q = 8 / 3;
    Setup::right_db(v);
  });
  const auto not_last_row = [](const Term& t) { return t.p < 3; };
  const std::vector<std::string> last = {"the last index of axis 1"};
  all.dx(s, "last row of the result not visited in dx", last, {"missing-term"}, [=](View& v, const Term& t) {
    if (not_last_row(t)) v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o);
  });
  all.dw(s, "last row of the result not visited in dw", last, {"missing-term"}, [=](View& v, const Term& t) {
    if (not_last_row(t)) v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w, t.c);
  });
  all.db(s, "last row of the result not visited in db", last, {"missing-term"}, [](View& v) {
    v.P = 3;
    Setup::right_db(v);
  });
}

void add_places(Catalogue& all) {
  const Setup &s = kStrided, &d = kDilated;
  // Where h and w are read in place of the right ones: strides and dilations of the other axis, or of each other.
  const auto elsewhere = [&](const Setup& at, const char* what, std::vector<std::string> words, auto&& h,
                             auto&& w) {
    all.dx(at, (std::string(what) + " in dx").c_str(), words, {"geometry"},
           [=](View& v, const Term& t) { v.dx(t.n, h(t), w(t), t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
    all.dw(at, (std::string(what) + " in dw").c_str(), words, {"geometry"},
           [=](View& v, const Term& t) { v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, h(t), w(t), t.c); });
  };
  elsewhere(
      s, "one stride for both", {"the stride of h is used along w as well"}, [](auto& t) { return t.h; },
      [](auto& t) { return t.q * 2 + t.j - 1; });
  elsewhere(
      s, "the other stride for both", {"the stride of w is used along h as well"},
      [](auto& t) { return t.p * 3 + t.i - 1; }, [](auto& t) { return t.w; });
  elsewhere(
      s, "stride for dilation", {"stride and dilation are exchanged"},
      [](auto& t) { return t.p + t.i * 2 - 1; }, [](auto& t) { return t.q + t.j * 3 - 1; });
  elsewhere(
      s, "no stride and no padding", {"both stride and padding are forgotten"},
      [](auto& t) { return t.p + t.i; }, [](auto& t) { return t.q + t.j; });
  elsewhere(
      kBoth, "no stride and no dilation", {"both stride and dilation are forgotten"},
      [](auto& t) { return t.p + t.i - 1; }, [](auto& t) { return t.q + t.j - 1; });
  // Two columns more than are there: the shift counts from the padding of 2.
  all.dx(d, "crop off by two columns in dx",
         {"padding of 1 at the top and 4 at the left, where 1 and 2 belong"}, {"shifted"},
         [](View& v, const Term& t) { v.dx(t.n, t.h, t.w - 2, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  all.dw(d, "off by two columns in dw", {"padding of 1 at the top and 4 at the left, where 1 and 2 belong"},
         {"shifted"},
         [](View& v, const Term& t) { v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w - 2, t.c); });
}

void add_operands(Catalogue& all) {
  const Setup& s = kStrided;
  all.dx(s, "all samples' dx into sample 0", {"added up in n = 0"}, {"gathered"},
         [](View& v, const Term& t) { v.dx(0, t.h, t.w, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  all.dw(s, "dw from w", {"'w' is used in the place of 'x'"}, {"operand"},
         [](View& v, const Term& t) { v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  all.dx(s, "dx from x", {"'x' is used in the place of 'w'"}, {"operand"},
         [](View& v, const Term& t) { v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.x(t.n, t.h, t.w, t.c); });
  all.dx(s, "in and out exchanged in w", {"'w' were read as [3, 3, 3, 2] and permuted", "in and out"},
         {"axes"}, [](View& v, const Term& t) {
           v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.w.data[((t.i * 3 + t.j) * 3 + t.o) * 2 + t.c];
         });
  all.dw(s, "in and out exchanged in dw", {"read as [3, 3, 3, 2] and permuted", "in and out"}, {"axes"},
         [](View& v, const Term& t) {
           v.dw.data[((t.i * 3 + t.j) * 3 + t.o) * 2 + t.c] += g(v, t) * v.x(t.n, t.h, t.w, t.c);
         });
  all.dx(s, "the filter turned", {"'w' were turned by 180 degrees"}, {"rotated"}, [](View& v, const Term& t) {
    v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.w(2 - t.i, 2 - t.j, t.c, t.o);
  });
  all.dx(s, "the filter turned in rows only", {"reversed along kh"}, {"rotated"},
         [](View& v, const Term& t) { v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.w(2 - t.i, t.j, t.c, t.o); });
  all.dw(s, "dw turned", {"turned by 180 degrees"}, {"rotated"}, [](View& v, const Term& t) {
    v.dw(2 - t.i, 2 - t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w, t.c);
  });
  all.dw(s, "kh and kw exchanged in dw", {"kh and kw exchanged"}, {"axes"},
         [](View& v, const Term& t) { v.dw(t.j, t.i, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w, t.c); });
  all.dx(s, "no dy in dx", {"output gradient is forgotten"}, {"output-gradient"},
         [](View& v, const Term& t) { v.dx(t.n, t.h, t.w, t.c) += v.w(t.i, t.j, t.c, t.o); });
  all.dw(s, "no dy in dw", {"output gradient is forgotten"}, {"output-gradient"},
         [](View& v, const Term& t) { v.dw(t.i, t.j, t.c, t.o) += v.x(t.n, t.h, t.w, t.c); });
  all.db(s, "no dy in db", {"output gradient is forgotten"}, {"output-gradient"}, [](View& v) {
    for (index_t o = 0; o < 3; ++o) v.db(o) = static_cast<double>(2 * v.P * v.Q);
  });
  all.dx(s, "the sign", {"sign is wrong"}, {"sign"},
         [](View& v, const Term& t) { v.dx(t.n, t.h, t.w, t.c) -= g(v, t) * v.w(t.i, t.j, t.c, t.o); });
}

void add_sums(Catalogue& all) {
  const Setup& s = kStrided;
  const auto divided = [&](const char* what, double by, const char* words) {
    all.dw(s, what, {words}, {"ratio"}, [by](View& v, const Term& t) {
      v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w, t.c) / by;
    });
  };
  divided("dw / batch", 2, "2 is axis 0 of the result: divided by it");
  divided("dw / pixels", 12, "12 is axis 1 * axis 2 of the result: divided by it");
  divided("dw / all", 24, "24 is axis 0 * axis 1 * axis 2 of the result: divided by it");
  const std::vector<std::string> overwritten = {"overwritten instead of accumulated"};
  all.dw(s, "last sample only in dw", {"only the last index of axis 0"}, {"overwritten"},
         [](View& v, const Term& t) {
           if (t.n == 1) v.dw(t.i, t.j, t.c, t.o) += g(v, t) * v.x(t.n, t.h, t.w, t.c);
         });
  all.dw(s, "dw overwritten", overwritten, {"overwritten"}, [](View& v, const Term& t) {
    if (t.h >= 0 && t.h < 7 && t.w >= 0 && t.w < 8)
      v.dw(t.i, t.j, t.c, t.o) = g(v, t) * v.x(t.n, t.h, t.w, t.c);
  });
  all.dx(s, "dx overwritten", overwritten, {"overwritten"},
         [](View& v, const Term& t) { v.dx(t.n, t.h, t.w, t.c) = g(v, t) * v.w(t.i, t.j, t.c, t.o); });
  all.dx(s, "only the first output channel", {"only the first index of axis 3"}, {"overwritten"},
         [](View& v, const Term& t) {
           if (t.o == 0) v.dx(t.n, t.h, t.w, t.c) += g(v, t) * v.w(t.i, t.j, t.c, t.o);
         });
  all.add(s, "last column zeroed", "x", {"never written", "w = 7, the last one"}, {"unwritten"},
          s.backward(s.right_dx(), s.right_dw(), Setup::right_db, [](View& v) {
            for (index_t n = 0; n < 2; ++n)
              for (index_t h = 0; h < 7; ++h)
                for (index_t c = 0; c < 2; ++c) v.dx(n, h, 7, c) = 0;
          }));
  all.db(s, "db over the batch only", {"only the first index of axis 1 and axis 2"}, {"overwritten"},
         [](View& v) {
           for (index_t n = 0; n < 2; ++n)
             for (index_t o = 0; o < 3; ++o) v.db(o) += v.dy(n, 0, 0, o);
         });
  all.db(s, "db of sample 0 only", {"the last index of axis 0"}, {"missing-term"}, [](View& v) {
    for (index_t p = 0; p < v.P; ++p)
      for (index_t q = 0; q < v.Q; ++q)
        for (index_t o = 0; o < 3; ++o) v.db(o) += v.dy(0, p, q, o);
  });
  all.db(s, "db a mean", {"24 is axis 0 * axis 1 * axis 2 of the result"}, {"ratio"}, [](View& v) {
    Setup::right_db(v);
    for (index_t o = 0; o < 3; ++o) v.db(o) /= 24;
  });
  all.db(s, "db over channels as well", {"only the sum (or mean) of the output gradient"},
         {"output-gradient-sum"}, [](View& v) {
           double sum = 0;
           for (const double d : v.dy.tensor.values<double>()) sum += d;
           for (index_t o = 0; o < 3; ++o) v.db(o) = sum;
         });
  all.db(s, "db of the first column", {"only the first index of axis 2"}, {"overwritten"}, [](View& v) {
    v.Q = 1;
    Setup::right_db(v);
  });
}

void add_transposed(Catalogue& all) {
  const Setup& s = kTransposed;
  const auto shifted = [&](const char* what, std::vector<std::string> words,
                           std::vector<std::string> patterns, auto&& h, auto&& w) {
    all.dx(s, (std::string(what) + " in dx").c_str(), words, patterns, [=](View& v, const Term& t) {
      v.dx(t.n, t.p, t.q, t.o) += v.dy(t.n, h(t), w(t), t.c) * v.w(t.i, t.j, t.c, t.o);
    });
    all.dw(s, (std::string(what) + " in dw").c_str(), words, patterns, [=](View& v, const Term& t) {
      v.dw(t.i, t.j, t.c, t.o) += v.dy(t.n, h(t), w(t), t.c) * v.x(t.n, t.p, t.q, t.o);
    });
  };
  shifted(
      "no stride", {"stride (2, 3) is forgotten"}, {"geometry"}, [](const Term& t) { return t.p + t.i - 1; },
      [](const Term& t) { return t.q + t.j - 1; });
  shifted(
      "no crop", {"crop 1 is forgotten"}, {"geometry"}, [](const Term& t) { return t.h + 1; },
      [](const Term& t) { return t.w + 1; });
  shifted(
      "crop off by one", {"off by one", "shifted by 1"}, {"shifted"}, [](const Term& t) { return t.h - 1; },
      [](const Term& t) { return t.w; });
  shifted(
      "crop on the wrong side", {"on the wrong side", "crop 1 is forgotten", "crop of w"},
      {"shifted", "geometry"}, [](const Term& t) { return t.h; }, [](const Term& t) { return t.w + 1; });
  all.dx(s, "the filter turned", {"'w' were turned by 180 degrees"}, {"rotated"}, [](View& v, const Term& t) {
    v.dx(t.n, t.p, t.q, t.o) += v.dy(t.n, t.h, t.w, t.c) * v.w(2 - t.i, 3 - t.j, t.c, t.o);
  });
  all.dx(s, "in and out exchanged in w", {"'w' were read as [3, 4, 3, 2] and permuted", "out and in"},
         {"axes"}, [](View& v, const Term& t) {
           v.dx(t.n, t.p, t.q, t.o) +=
               v.dy(t.n, t.h, t.w, t.c) * v.w.data[((t.i * 4 + t.j) * 3 + t.o) * 2 + t.c];
         });
  all.dw(s, "dw overwritten", {"overwritten instead of accumulated"}, {"overwritten"},
         [](View& v, const Term& t) {
           if (t.h >= 0 && t.h < 8 && t.w >= 0 && t.w < 9)
             v.dw(t.i, t.j, t.c, t.o) = v.dy(t.n, t.h, t.w, t.c) * v.x(t.n, t.p, t.q, t.o);
         });
  all.dw(s, "dw / batch", {"2 is axis 0 of the result: divided by it"}, {"ratio"},
         [](View& v, const Term& t) {
           v.dw(t.i, t.j, t.c, t.o) += v.dy(t.n, t.h, t.w, t.c) * v.x(t.n, t.p, t.q, t.o) / 2;
         });
}

}  // namespace

std::vector<Mistake> convolution_mistakes() {
  Catalogue all;
  add_geometry(all);
  add_places(all);
  add_operands(all);
  add_sums(all);
  add_transposed(all);
  return all.all;
}

}  // namespace tapegrad::testing
