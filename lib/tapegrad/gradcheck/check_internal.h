#pragma once

// Internal: one check, from the problem to the report.

#include "tapegrad/base/random.h"
#include "tapegrad/gradcheck/gradcheck.h"
#include "tapegrad/gradcheck/hints_internal.h"
#include "tapegrad/gradcheck/probe_internal.h"

namespace tapegrad::inline v0::detail {

/// What a check is about to draw.
enum class Draw : std::uint64_t { OutputGradients = 1, SecondOrder = 2, Adjoint = 3 };
/// Numbers of a check's own, which no Generator that somebody seeds with the same number gives.
Generator own_generator(std::uint64_t seed, Draw what);
/// A random output gradient: of both signs, and no entry near 0, where a mistake would not show. It has another
/// distribution than inputs usually have, so that even the same generator would not give an input's numbers.
Tensor random_like(const Tensor& x, Generator& generator);

void require_float64(const std::string& what, const Tensor& x);
bool share_memory(const Tensor& a, const Tensor& b);
/// What stands in the report for each input. Throws where an input or an option makes no sense.
std::vector<GradcheckTensor> describe(const Tensors& inputs, const GradcheckOptions& options);

class Check {
 public:
  Check(Problem problem, Tensors xs, std::vector<GradcheckTensor> tensors, const GradcheckOptions& options);
  GradcheckReport run();

 private:
  GradcheckReport end(GradcheckVerdict verdict, std::string note);
  GradcheckReport judged();
  void prepare(std::size_t k);
  void find_nonlinear();
  void find_all_hints(const Prober& prober);
  std::vector<index_t> entries_to_check(std::size_t k) const;
  std::vector<index_t> some_entries(std::size_t k) const;

  /// The first look at these entries, and a closer one at those that disagree.
  void check_entries(const Prober& prober, std::size_t k, const std::vector<index_t>& entries,
                     GradcheckTensor& tensor);
  /// Looks closer at found[n] for n of doubtful, until enough are proven wrong.
  void judge_entries(const Prober& prober, std::size_t k, const Tensors& analytic,
                     std::vector<std::size_t> doubtful, std::vector<GradcheckEntry>& found,
                     const std::vector<index_t>& entries);
  void check_direction(const Prober& prober, std::size_t k);
  GradcheckEntry along(const Prober& prober, std::size_t k, Line& line, const Line::Direction& direction,
                       const Tensor& gradient, const Difference& d);
  void sample_for_hints(const Prober& prober, std::size_t k);
  void summarize(GradcheckTensor& tensor, std::vector<GradcheckEntry> found) const;
  GradcheckVerdict overall() const;

  const Problem problem_;
  Tensors xs_, rs_, second_rs_, analytic_, second_analytic_;
  std::vector<std::vector<double>> steps_;
  GradcheckOptions options_;
  double tolerance_;
  Generator generator_;
  GradcheckReport report_;
};

}  // namespace tapegrad::inline v0::detail
