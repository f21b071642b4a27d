// The pictures of the examples, as a user gets them: each says in words what it shows, and is large enough to look at.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/temporary.h"
#include "tapegrad/io/image.h"
#include "tapegrad/show/draw.h"

namespace tapegrad::testing {
namespace {

namespace fs = std::filesystem;

// How texts are drawn: in sheets, captions and the two pictures of mnist_classifier at their own size, in charts as
// line_chart() does at its scale of 2.
struct Font {
  double scale;
  Colour colour;
};
constexpr Colour kChartInk{38, 38, 38}, kOwnInk{40, 40, 40};
const std::vector<Font> kFonts = {
    {1, kBlack}, {1.9, kChartInk}, {2.6, kChartInk}, {1, kOwnInk}, {1.6, kOwnInk}};

// Brightness, line by line.
struct Plane {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;
  const std::uint8_t* at(int y, int x) const {
    return pixels.data() + static_cast<std::ptrdiff_t>(y) * width + x;
  }
};

// The plane of an image from (top, left) on.
Plane plane_of(const Image& image, int top, int left, int height, int width) {
  Plane plane{height, width, {}};
  for (int y = top; y < top + height; ++y)
    for (int x = left; x < left + width; ++x) plane.pixels.push_back(image.at(y, x)[0]);
  return plane;
}

// A text as draw_text() draws it, without the white around it.
Plane drawn(std::string_view text, const Font& font) {
  Image image(static_cast<int>(text_height(font.scale)) + 8,
              static_cast<int>(text_width(text, font.scale)) + 8, 1, kWhite);
  draw_text(image, 2, 2, text, font.colour, font.scale);
  int top = image.height, bottom = -1, left = image.width, right = -1;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (image.at(y, x)[0] != 255) {
        top = std::min(top, y), bottom = std::max(bottom, y);
        left = std::min(left, x), right = std::max(right, x);
      }
  return plane_of(image, top, left, bottom - top + 1, right - left + 1);
}

// The line at which the part begins, somewhere in the whole, pixel by pixel; -1: nowhere.
int line_of(const Plane& whole, const Plane& part) {
  // Only where its darkest pixel can be: most of a picture is white.
  const auto anchor = std::ranges::min_element(part.pixels) - part.pixels.begin();
  const auto dy = static_cast<int>(anchor) / part.width, dx = static_cast<int>(anchor) % part.width;
  for (int top = 0; top + part.height <= whole.height; ++top) {
    const std::uint8_t *begin = whole.at(top + dy, dx), *end = begin + (whole.width - part.width + 1);
    for (const std::uint8_t* from = begin; from < end; ++from) {
      from = static_cast<const std::uint8_t*>(std::memchr(from, part.pixels[static_cast<std::size_t>(anchor)],
                                                          static_cast<std::size_t>(end - from)));
      if (from == nullptr) break;
      const int left = static_cast<int>(from - begin);
      bool same = true;
      for (int y = 0; same && y < part.height; ++y)
        same = std::memcmp(whole.at(top + y, left), part.at(y, 0), static_cast<std::size_t>(part.width)) == 0;
      if (same) return top;
    }
  }
  return -1;
}

// The line at which this text begins, on white; -1: it stands nowhere.
int line_of(const Image& image, std::string_view text) {
  const Plane whole = plane_of(image, 0, 0, image.height, image.width);
  for (const Font& font : kFonts)
    if (const Plane part = drawn(text, font); part.width <= whole.width)
      if (const int line = line_of(whole, part); line >= 0) return line;
  return -1;
}

bool shows(const Image& image, std::string_view text) {
  return line_of(image, text) >= 0;
}

// The test's own judge.
TEST(PicturesJudge, FindsTexts) {
  Image image(40, 300, 3, kWhite);
  draw_text(image, 20, 10, "test, each epoch");
  EXPECT_EQ(line_of(image, "test, each epoch") / 10, 1);
  EXPECT_TRUE(shows(image, "epoch"));
  EXPECT_FALSE(shows(image, "test_loss"));
  EXPECT_FALSE(shows(image, "epochs"));
}

class Pictures : public ::testing::Test {
 protected:
  // Runs an example for a step or a few. Those that have a goal need not reach it.
  void run(const std::string& name, const std::string& arguments) {
    const std::string command = std::string(TAPEGRAD_EXAMPLES) + "/" + name + " " + arguments + " --out " +
                                (folder_ / name).string() + " > " + (folder_ / "said").string() + " 2>&1";
    const int code = WEXITSTATUS(std::system(command.c_str()));
    ASSERT_TRUE(code == 0 || (code == 1 && (name == "poisson" || name == "gradient_penalty")))
        << command << "\n"
        << std::ifstream(folder_ / "said").rdbuf();
  }
  Image picture(const std::string& name, const std::string& file) const {
    return read_image(folder_ / name / file, 3);
  }
  // The run left these pictures and no others, each with these texts; no key of the metrics stands in any of them.
  void expect_pictures(const std::string& name,
                       const std::map<std::string, std::vector<std::string>>& expected) {
    std::set<std::string> keys;
    std::ifstream metrics(folder_ / name / "metrics.jsonl");
    const std::regex key("\"([a-z]+_[a-z_]+)\"");
    for (std::string line; std::getline(metrics, line);)
      for (std::sregex_iterator at(line.begin(), line.end(), key), end; at != end; ++at)
        keys.insert((*at)[1]);
    EXPECT_FALSE(keys.empty());
    std::set<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_ / name))
      if (entry.path().extension() == ".png") files.insert(entry.path().filename().string());
    for (const auto& [file, texts] : expected) {
      ASSERT_EQ(files.erase(file), 1u) << name << " did not draw " << file;
      const Image image = picture(name, file);
      for (const std::string& text : texts)
        EXPECT_TRUE(shows(image, text)) << name << "'s " << file << " does not say '" << text << "'";
      for (const std::string& raw : keys)
        EXPECT_FALSE(shows(image, raw)) << name << "'s " << file << " shows the key " << raw;
    }
    EXPECT_TRUE(files.empty()) << name << " draws " << *files.begin() << ", which this test does not know";
  }

  TemporaryFolder folder_;
  const std::string brief_ = "--data " TAPEGRAD_SOURCE "/data --max-steps 1 --threads 1";
};

TEST_F(Pictures, Autoencoder) {
  run("mnist_autoencoder", brief_ + " --report");
  expect_pictures("mnist_autoencoder", {{"reconstructions.png", {"original", "drawn again"}},
                                        {"loss.png", {"training, each step", "test, each epoch", "epoch"}},
                                        {"filters.png", {}}});  // its legend is on grey
  // Filters: large enough to look at, 3 x 3 of them 4 x 4.
  EXPECT_GE(picture("mnist_autoencoder", "filters.png").width, 300);
}

// The page of the main example: what it says of the run, and that nothing in it hides another thing.
TEST_F(Pictures, Report) {
  run("mnist_autoencoder", brief_ + " --report");
  const Bytes bytes = read_bytes(folder_ / "mnist_autoencoder" / "report.html");
  const std::string page(bytes.begin(), bytes.end());
  const auto contains = [&](const std::string& text) {
    EXPECT_NE(page.find(text), std::string::npos) << text;
  };
  contains("<dt>tapegrad</dt><dd>" + std::to_string(TAPEGRAD_VERSION_MAJOR) + "." +
           std::to_string(TAPEGRAD_VERSION_MINOR) + "." + std::to_string(TAPEGRAD_VERSION_PATCH) + "</dd>");
  contains("<li class=\"s0\">training, each step</li><li class=\"s1\">test, each epoch</li>");
  contains(">original</span>");
  contains(">drawn again</span>");
  for (const std::string key : {"train_loss", "test_loss", "images_per_s"})
    EXPECT_EQ(page.find(key), std::string::npos) << key;

  // The latent space: a legend of colours, and a badge for each class, none of which hides another.
  std::string legend = "<ul class=\"legend round\">";
  for (int digit = 0; digit < 10; ++digit)
    legend += "<li class=\"s" + std::to_string(digit) + "\">" + std::to_string(digit) + "</li>";
  contains(legend + "</ul>");
  const std::regex badge("class=\"name s[0-9]\" style=\"left:([0-9.]+)%;top:([0-9.]+)%\"");
  std::vector<std::pair<double, double>> places;
  for (std::sregex_iterator at(page.begin(), page.end(), badge), end; at != end; ++at)
    places.emplace_back(std::stod((*at)[1]), std::stod((*at)[2]));
  ASSERT_EQ(places.size(), 10u);
  constexpr double kWidth = 24.0 / 300 * 100, kHeight = 22.0 / 224 * 100;  // on a telephone, in percent
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      EXPECT_TRUE(std::abs(places[i].first - places[k].first) >= kWidth ||
                  std::abs(places[i].second - places[k].second) >= kHeight)
          << i << " and " << k;

  const std::regex filters("width=\"([0-9]+)\" height=\"[0-9]+\" alt=\"The first layer");
  std::smatch width;
  ASSERT_TRUE(std::regex_search(page, width, filters));
  EXPECT_GE(std::stoi(width[1]), 300);
}

TEST_F(Pictures, Classifier) {
  run("mnist_classifier", brief_);
  expect_pictures("mnist_classifier", {{"loss.png", {"Cross-entropy", "training", "test", "epoch"}},
                                       {"accuracy.png", {"Accuracy", "test", "epoch"}},
                                       {"confusion.png", {"seen as"}},
                                       {"mistakes.png", {" seen as "}}});
}

TEST_F(Pictures, Denoising) {
  run("denoising_autoencoder", brief_);
  expect_pictures("denoising_autoencoder", {{"loss.png", {"Mean squared error", "training", "test", "epoch"}},
                                            {"denoised.png", {"clean", "noisy", "denoised"}}});
  // In the README's order.
  const Image image = picture("denoising_autoencoder", "denoised.png");
  EXPECT_LT(line_of(image, "clean"), line_of(image, "noisy"));
  EXPECT_LT(line_of(image, "noisy"), line_of(image, "denoised"));
}

TEST_F(Pictures, Generative) {
  run("mnist_classifier", brief_);
  const std::string judged =
      brief_ + " --classifier " + (folder_ / "mnist_classifier/weights.safetensors").string();
  run("mnist_vae", judged);
  expect_pictures("mnist_vae", {{"loss.png", {"Negative evidence lower bound", "training", "test", "epoch"}},
                                {"samples.png", {"digits that the decoder drew from random codes"}},
                                {"walk.png", {"0 to 1", "4 to 5", "8 to 9"}}});
  run("dcgan", judged);
  expect_pictures("dcgan", {{"loss.png", {"Binary cross-entropy", "discriminator", "generator", "epoch"}},
                            {"samples.png", {"digits that the generator drew from random codes"}}});
}

TEST_F(Pictures, Segmentation) {
  run("unet_segmentation", "--scenes 5 --batch 5 --epochs 1");
  expect_pictures("unet_segmentation",
                  {{"loss.png", {"Cross-entropy", "each step", "each epoch", "epoch"}},
                   {"segmentation.png",
                    {"image", "truth", "prediction", "background", "ellipse", "rectangle", "triangle"}}});
  const Image segmentation = picture("unet_segmentation", "segmentation.png");
  EXPECT_GE(segmentation.width, 1000);
  EXPECT_GE(segmentation.height, 400);
}

TEST_F(Pictures, Poisson) {
  run("poisson", "--steps 2 --points 4");
  expect_pictures(
      "poisson",
      {{"training.png",
        {"Poisson's equation", "squared residual of the equation", "relative error of the solution", "step"}},
       {"solution.png",
        {"Found, -1 to 1", "Exact, -1 to 1", "Difference, -",
         "blue: negative, white: 0, red: positive; x to the right, y down, both from 0 to 1"}}});
}

// Beside the distance, which becomes a thousand times as large, the penalty is not flat.
TEST_F(Pictures, GradientPenalty) {
  run("gradient_penalty", "--steps 60");
  expect_pictures("gradient_penalty", {{"training.png",
                                        {"A critic with a gradient penalty", "gradient penalty",
                                         "distance of the two kinds of images", "step"}}});
  const Image image = picture("gradient_penalty", "training.png");
  int top = image.height, bottom = 0;
  for (int y = image.height / 7; y < image.height; ++y)  // below the legend
    for (int x = 0; x < image.width; ++x)
      if (image.at(y, x)[0] == 0 && image.at(y, x)[1] == 114 && image.at(y, x)[2] == 178)
        top = std::min(top, y), bottom = std::max(bottom, y);
  EXPECT_GT(bottom - top, image.height / 3);
}

}  // namespace
}  // namespace tapegrad::testing
