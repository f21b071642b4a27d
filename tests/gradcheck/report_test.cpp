// What the report says, in its three forms, and the modes.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;

Tensor draw(const Shape& shape, std::uint64_t stream = 1) {
  Generator generator(5, stream);
  return uniform(shape, -1, 1, generator, DType::Float64);
}

const TensorFunction kConvolution = [](Inputs in) {
  return conv2d(in[0], in[1], {.padding = Padding::Same});
};

// A convolution whose gradients have the wrong sign in one entry each.
GradcheckReport wrong_convolution(const GradcheckOptions& options) {
  return gradcheck_backward(
      kConvolution,
      [](Inputs in, const Tensor&, const Tensor& dy) {
        Tensor dx = conv2d_backprop_input(in[0].shape(), in[1], dy, {.padding = Padding::Same});
        Tensor dw = conv2d_backprop_filter(in[0], in[1].shape(), dy, {.padding = Padding::Same});
        dx.set({1, 2, 3, 0}, -dx.at({1, 2, 3, 0}));
        dw.set({2, 0, 1, 3}, -dw.at({2, 0, 1, 3}));
        return std::vector<Tensor>{dx, dw};
      },
      {draw({2, 4, 5, 2}), draw({3, 3, 2, 4}, 2)}, options);
}

TEST(GradcheckReport, PlacesAreNamedInWords) {
  const std::string plain = wrong_convolution({}).str();
  for (const char* words :
       {"n 1, h 2, w 3, c 0: numeric", "kh 2, kw 0, in 1, out 3: numeric", "input 0", "[2, 4, 5, 2]"})
    EXPECT_NE(plain.find(words), std::string::npos) << words << "\n" << plain;
  const std::string named = wrong_convolution({.names = {"pixels", "stamp"},
                                               .axes = {"sample row column colour", "i, j, from, to"}})
                                .str();
  for (const char* words :
       {"sample 1, row 2, column 3, colour 0: ", "i 2, j 0, from 1, to 3: ", "pixels", "stamp"})
    EXPECT_NE(named.find(words), std::string::npos) << words << "\n" << named;
}

TEST(GradcheckReport, NamesAndAxesMustFit) {
  EXPECT_TRUE(refuses("gradcheck", {"names must have one entry for each input", "1 for 2 inputs"},
                      [] { (void)wrong_convolution({.names = {"x"}}); }));
  EXPECT_TRUE(refuses("gradcheck", {"got 3 for 'input 0'", "[2, 4, 5, 2]"}, [] {
    (void)wrong_convolution({.axes = {"n h w", "kh kw in out"}});
  }));
  EXPECT_TRUE(refuses("gradcheck", {"order must be 1 or 2, got 3"},
                      [] { (void)gradcheck(kConvolution, {}, {.order = 3}); }));
  EXPECT_TRUE(refuses("gradcheck", {"first order only"}, [] { (void)wrong_convolution({.order = 2}); }));
}

TEST(GradcheckReport, TheTableIsAsWideAsItsWords) {
  const std::string text =
      gradcheck([](Inputs in) { return 3.0 * in[0]; }, {draw({2})}, {.names = {"x"}}).str();
  const std::string table =
      "\n  input  shape  checked  largest grad  abs error  rel error\n  x      [2]          2  ";
  EXPECT_NE(text.find(table), std::string::npos) << text;
}

TEST(GradcheckReport, ColourIsAskedFor) {
  const GradcheckReport report = wrong_convolution({});
  EXPECT_EQ(report.str().find('\033'), std::string::npos);
  std::string coloured = report.str({.colour = true});
  EXPECT_NE(coloured.find("\033[31m"), std::string::npos);
  for (std::size_t at = 0; (at = coloured.find('\033', at)) != std::string::npos;)
    coloured.erase(at, coloured.find('m', at) + 1 - at);
  EXPECT_EQ(coloured, report.str());
}

TEST(GradcheckReport, Json) {
  const nlohmann::json json =
      nlohmann::json::parse(wrong_convolution({.names = {"a \"quoted\"\n\\name", "w"}}).json());
  EXPECT_EQ(json["verdict"], "fail");
  EXPECT_EQ(json["passed"], false);
  EXPECT_EQ(json["order"], 1);
  EXPECT_EQ(json["tensors"].size(), 2u);
  const nlohmann::json& x = json["tensors"][0];
  EXPECT_EQ(x["name"], "a \"quoted\"\n\\name");
  EXPECT_EQ(x["shape"], (std::vector<int>{2, 4, 5, 2}));
  EXPECT_EQ(x["entries"], 80);
  EXPECT_EQ(x["worst"][0]["index"], (std::vector<int>{1, 2, 3, 0}));
  EXPECT_EQ(x["worst"][0]["behaviour"], "wrong");
  EXPECT_NEAR(x["worst"][0]["numeric"].get<double>(), -x["worst"][0]["analytic"].get<double>(), 1e-8);
  EXPECT_TRUE(x["hints"].is_array());

  // Numbers that JSON does not have.
  const GradcheckReport nan =
      gradcheck_backward([](Inputs in) { return square(in[0]); },
                         [](Inputs in, const Tensor&, const Tensor&) {
                           return std::vector<Tensor>{
                               full(in[0].shape(), std::numeric_limits<double>::quiet_NaN(), DType::Float64)};
                         },
                         {draw({2})});
  const nlohmann::json parsed = nlohmann::json::parse(nan.json());
  EXPECT_EQ(parsed["tensors"][0]["worst"][0]["analytic"], "nan");
  EXPECT_EQ(parsed["tensors"][0]["hints"][0]["pattern"], "not-finite");
}

TEST(GradcheckReport, TheErrorMapShowsWhere) {
  const GradcheckReport report = wrong_convolution({});
  const Tensor map = report.error_map(1);
  ASSERT_EQ(map.shape().str(), "[3, 3, 2, 4]");
  double elsewhere = 0;
  for (index_t i = 0; i < map.size(); ++i) elsewhere += std::abs(map.data<double>()[i]);
  const double there = std::abs(map.at({2, 0, 1, 3}));
  EXPECT_GT(there, 1e-3);
  EXPECT_LT(elsewhere - there, 1e-6);
  EXPECT_TRUE(refuses("gradcheck", {"no input 2"}, [&] { (void)report.error_map(2); }));
  // A sample leaves most of it open.
  const GradcheckReport sampled = wrong_convolution({.mode = GradcheckMode::Sample, .samples = 7});
  const Tensor holes = sampled.error_map(1);
  index_t compared = 0;
  for (const double v : holes.values<double>()) compared += std::isnan(v) ? 0 : 1;
  EXPECT_EQ(compared, 7);
  EXPECT_EQ(sampled.tensors[1].entries, 7);
  EXPECT_FALSE(std::isnan(holes.at({0, 0, 0, 0})));
  EXPECT_FALSE(std::isnan(holes.at({2, 2, 1, 3})));
}

TEST(GradcheckReport, ParametersHaveTheirNames) {
  Generator generator(3);
  Sequential model(Conv2D({.in_channels = 1, .filters = 2, .kernel_size = 3, .activation = tanh}, generator),
                   Conv2D({.in_channels = 2, .filters = 1, .kernel_size = 3}, generator));
  const Tensor x = draw({1, 6, 6, 1});
  const auto f = [&] { return model(x); };
  EXPECT_TRUE(refuses("gradcheck", {"is Float32", "model.to(DType::Float64)"}, [&] {
    (void)gradcheck_parameters([&] { return model(cast(x, DType::Float32)); }, model.state_view());
  }));
  model.to(DType::Float64);
  const GradcheckReport report = gradcheck_parameters(f, model.state_view());
  EXPECT_TRUE(report.passed) << report.str();
  ASSERT_EQ(report.tensors.size(), model.parameters().size());
  for (std::size_t k = 0; k < report.tensors.size(); ++k)
    EXPECT_EQ(report.tensors[k].name, model.state_view().tensors[k].first);
  EXPECT_EQ(report.tensors[0].axes, (std::vector<std::string>{"kh", "kw", "in", "out"}));
  const GradcheckReport second = gradcheck_parameters(f, model.state_view(), {.order = 2});
  EXPECT_TRUE(second.passed) << second.str();
  EXPECT_EQ(second.tensors.back().name, "output gradient");
  EXPECT_TRUE(refuses("gradcheck", {"no parameters"}, [&] { (void)gradcheck_parameters(f, State{}); }));
  EXPECT_TRUE(refuses("gradcheck", {"no parameters", "state_view()"},
                      [&] { (void)gradcheck_parameters(f, model.state()); }));
  State forgetful = model.state_view();
  forgetful.tensors.pop_back();
  EXPECT_TRUE(
      refuses("gradcheck", {"does not show", "visit()"}, [&] { (void)gradcheck_parameters(f, forgetful); }));
}

TEST(GradcheckReport, StatisticsOfTheStateArePutBack) {
  BatchNorm norm({.channels = 2, .momentum = 0.5});
  norm.to(DType::Float64);
  const Tensor x = draw({6, 2});
  norm(x);
  std::vector<Tensor> before;
  for (const auto& [name, tensor] : norm.state_view().tensors) before.push_back(copy(tensor));
  EXPECT_GT(before.size(), norm.parameters().size());
  const GradcheckReport report = gradcheck_parameters([&] { return norm(x); }, norm.state_view());
  EXPECT_TRUE(report.passed) << report.str();
  for (std::size_t k = 0; k < before.size(); ++k)
    EXPECT_TRUE(equal(norm.state_view().tensors[k].second, before[k])) << norm.state_view().tensors[k].first;
}

TEST(GradcheckReport, TiedWeightsAreOneParameter) {
  const Tensor w = parameter(draw({2, 3})), x = draw({4, 2});
  const GradcheckReport report =
      gradcheck_parameters([&] { return matmul(tanh(matmul(x, w)), w, {.transpose_b = true}); },
                           State{.tensors = {{"encoder.w", w}, {"decoder.w", w}}});
  EXPECT_TRUE(report.passed) << report.str();
  ASSERT_EQ(report.tensors.size(), 1u);
  EXPECT_EQ(report.tensors[0].name, "encoder.w");
}

// What each mode costs, in evaluations of f.
TEST(GradcheckModes, TheCostIsTwoEvaluationsForEachComparison) {
  const auto calls = [](GradcheckMode mode, index_t size) {
    int count = 0;
    const TensorFunction f = [&](Inputs in) {
      ++count;
      return sin(in[0]) * sum(in[1]);
    };
    const GradcheckReport report = gradcheck(f, {draw({size}), draw({7}, 2)}, {.mode = mode, .samples = 10});
    EXPECT_TRUE(report.passed) << report.str();
    return count;
  };
  const int overhead = calls(GradcheckMode::Direction, 5) - 4;
  EXPECT_LT(overhead, 10);
  EXPECT_EQ(calls(GradcheckMode::Direction, 5000), overhead + 4);
  EXPECT_EQ(calls(GradcheckMode::Sample, 5000), overhead + 2 * (10 + 7));
  EXPECT_EQ(calls(GradcheckMode::EveryEntry, 50), overhead + 2 * (50 + 7));
}

TEST(GradcheckModes, EveryTensorGetsItsShareOfTheSample) {
  const GradcheckReport report =
      gradcheck([](Inputs in) { return sum(sin(in[0])) * sum(exp(in[1])) * in[2]; },
                {draw({4, 100}), draw({50}, 2), draw({}, 3)}, {.mode = GradcheckMode::Sample, .samples = 20});
  EXPECT_TRUE(report.passed) << report.str();
  EXPECT_EQ(report.tensors[0].entries, 20);
  EXPECT_EQ(report.tensors[1].entries, 20);
  EXPECT_EQ(report.tensors[2].entries, 1);
}

// The report says which input was not tested; and such a check has not passed.
TEST(GradcheckReport, AnInputWithoutEffectIsShown) {
  const GradcheckReport report =
      gradcheck([](Inputs in) { return square(in[1]); }, {draw({2}), draw({2}, 2)});
  EXPECT_EQ(report.verdict, GradcheckVerdict::Vacuous);
  EXPECT_FALSE(report.passed);
  EXPECT_EQ(report.tensors[0].verdict, GradcheckVerdict::Vacuous);
  EXPECT_NE(report.str().find("all zero: not tested"), std::string::npos) << report.str();
}

// Each verdict and each behaviour has its words, for programs and for people.
TEST(GradcheckReport, HasWordsForEverything) {
  using enum GradcheckVerdict;
  struct Words {
    GradcheckVerdict verdict;
    const char *name, *sentence, *status;
  };
  for (const Words& w :
       {Words{Pass, "pass", "gradcheck passed (first order, every entry",
              "ok (2 needed other steps); 3 entries lie below"},
        {Fail, "fail", "gradcheck FAILED (", "WRONG in at least 4 of 20; 7 more not judged; 3 entries"},
        {Suspicious, "suspicious", "SUSPICIOUS: not all entries could be judged",
         "unclear in 5 of 20; 3 entries"},
        {Vacuous, "vacuous", "VACUOUS: not everything was tested",
         "zero or lost: not tested (lost in noise)\n"},
        {NonDeterministic, "non-deterministic", "NON-DETERMINISTIC: nothing can be compared", ""},
        {AtKink, "at a kink", "AT A KINK: some entries sit where", "at a kink in 6 of 20; 3 entries"},
        {DependentInputs, "dependent inputs", "DEPENDENT INPUTS: nothing was compared", ""}}) {
    EXPECT_EQ(name(w.verdict), w.name);
    GradcheckReport report{.verdict = w.verdict};
    report.tensors = {{.name = "weights",
                       .shape = {20},
                       .axes = {"axis 0"},
                       .verdict = w.verdict,
                       .entries = 20,
                       .retried = 2,
                       .wrong = 4,
                       .kinks = 6,
                       .unclear = 5,
                       .below_noise = 3,
                       .not_judged = 7,
                       .why = "lost in noise"}};
    EXPECT_NE(report.str().find(w.sentence), std::string::npos) << report.str();
    EXPECT_NE(report.str().find(w.status), std::string::npos) << report.str();
    // With colours the same words.
    EXPECT_NE(report.str({.colour = true}).find("weights"), *w.status == 0 ? 0 : std::string::npos);
    EXPECT_EQ(nlohmann::json::parse(report.json())["verdict"], w.name);
  }
  using enum GradcheckBehaviour;
  struct Entry {
    GradcheckBehaviour behaviour;
    const char *name, *sentence;
  };
  for (const Entry& e : {Entry{Right, "right", "h = 0.5; right\n"},
                         {Wrong, "wrong", "the error is the same at every step: wrong"},
                         {Truncation, "truncation", "the error shrank with the step: truncation, right"},
                         {Rounding, "rounding", "the error shrank with a larger step: rounding, right"},
                         {Kink, "kink", "the slopes on the two sides differ: a kink"},
                         {Zero, "zero", "nothing but rounding"},
                         {BelowNoise, "below the noise", "lost in the rounding of f: not tested"},
                         {Unclear, "unclear", "no step tells: noise, stairs, or not finite"},
                         {NotJudged, "not judged", "not judged: enough others are wrong"}}) {
    EXPECT_EQ(name(e.behaviour), e.name);
    GradcheckReport report;
    report.tensors = {{.name = "w", .shape = {3}, .axes = {"axis 0"}, .verdict = Fail}};
    report.tensors[0].worst = {{.index = {2}, .step = 0.5, .behaviour = e.behaviour}};
    EXPECT_NE(report.str().find("[2]: numeric 0, analytic 0"), std::string::npos) << report.str();
    EXPECT_NE(report.str().find(e.sentence), std::string::npos) << report.str();
    EXPECT_EQ(nlohmann::json::parse(report.json())["tensors"][0]["worst"][0]["behaviour"], e.name);
  }
  for (const auto& [mode, words] : {std::pair{GradcheckMode::EveryEntry, "every entry"},
                                    {GradcheckMode::Sample, "a sample of entries"},
                                    {GradcheckMode::Direction, "one direction"}}) {
    GradcheckReport report;
    report.options.mode = mode;
    EXPECT_EQ(nlohmann::json::parse(report.json())["mode"], words);
  }
}

TEST(GradcheckReport, AResultWhoseSizeDependsOnValuesIsRefused) {
  const Tensor x = draw({2});
  const double at = x.at({0});
  // Shorter or longer beside x than at x.
  for (const bool longer : {false, true})
    EXPECT_TRUE(refuses("gradcheck", {"must not depend on the values"}, [&] {
      (void)gradcheck(
          [=](Inputs in) {
            return (in[0].at({0}) == at) != longer ? concat({in[0], in[0]}, 0) : in[0];
          },
          {x});
    })) << longer;
}

}  // namespace
}  // namespace tapegrad::testing
