#pragma once

// Internal: how a report looks.

#include <string_view>

namespace tapegrad::inline v0::detail {

// Pixels between the columns of a gallery, as in .gallery below.
inline constexpr int kGalleryGap = 6;

inline constexpr std::string_view kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #fbfbfa; --card: #fff; --ink: #1d232b; --soft: #5d6774; --line: #e3e5e8; --grid: #eceef0;
  --accent: 47 111 179; --warm: 200 86 27;
  --c0: #2f6fb3; --c1: #c8561b; --c2: #1a8a68; --c3: #b0518a; --c4: #3a98c4;
  --c5: #b07d0e; --c6: #7565c4; --c7: #8a5a3c; --c8: #6b7683; --c9: #7a8a1f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1b1f25; --ink: #e4e8ed; --soft: #98a3b1; --line: #2c323a; --grid: #282e36;
    --accent: 104 165 226; --warm: 240 143 82;
    --c0: #68a5e2; --c1: #f08f52; --c2: #4bc29b; --c3: #e08cc0; --c4: #7ccbee;
    --c5: #e3b34f; --c6: #a79aee; --c7: #cb9a7b; --c8: #a3adb9; --c9: #b7c55c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
  overflow-wrap: anywhere;
}
main { max-width: 62rem; margin: 0 auto; padding: clamp(1.75rem, 6vw, 4.5rem) clamp(1rem, 5vw, 3rem); }
h1 { margin: 0; font-size: clamp(1.65rem, 5vw, 2.4rem); line-height: 1.15; letter-spacing: -.02em; font-weight: 650; }
h1 + p { margin: .6rem 0 0; text-wrap: balance; color: var(--soft); font-size: 1.05rem; }
section { margin-top: clamp(2.25rem, 5vw, 3.5rem); padding-top: 1.25rem; border-top: 1px solid var(--line); }
h2 { margin: 0 0 1rem; font-size: 1.2rem; line-height: 1.3; letter-spacing: -.01em; font-weight: 620; }
p { max-width: 42rem; margin: 0 0 1rem; }
figure { margin: 1.25rem 0; }
figcaption { margin-top: .6rem; max-width: 42rem; color: var(--soft); font-size: .875rem; line-height: 1.5; }
figcaption.title { margin: 0 0 .4rem; color: var(--ink); font-weight: 600; }
img { image-rendering: pixelated; display: block; max-width: 100%; height: auto; }
.scroll { overflow-x: auto; margin: 1.25rem 0; }

.figures { display: flex; flex-wrap: wrap; gap: 1.25rem 3rem; margin: 2rem 0 0; }
.figures div { min-width: 0; }
.figures dt { color: var(--soft); font-size: .875rem; }
.figures dd {
  margin: 0; font-size: clamp(1.5rem, 4.5vw, 2rem); line-height: 1.25; letter-spacing: -.02em; font-weight: 600;
  font-variant-numeric: tabular-nums;
}
.facts { margin: 0; font-size: .9375rem; }
.facts div {
  display: grid; grid-template-columns: minmax(7rem, 13rem) minmax(0, 1fr); gap: 1rem; padding: .4rem 0;
  border-bottom: 1px solid var(--grid);
}
.facts div:last-child { border-bottom: 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }

table { width: 100%; border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; text-align: left; border-bottom: 1px solid var(--line); }
td { border-bottom: 1px solid var(--grid); }
th, td { padding: .4rem 2rem .4rem 0; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; }
pre {
  margin: 0; padding: 1rem 1.15rem; width: max-content; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem;
  font: .8125rem/1.6 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}

.chart { --height: clamp(14rem, 42vw, 22rem); font-size: .8125rem; line-height: 1.2; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; margin: 0 0 .75rem; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: .5rem; }
.legend li::before { content: ""; width: 1.1rem; height: .2rem; border-radius: .1rem; background: var(--c); }
.legend.round { gap: .3rem 1rem; }
.legend.round li { gap: .35rem; }
.legend.round li::before { width: .6rem; height: .6rem; border-radius: 50%; }
.plot { display: grid; grid-template-columns: auto minmax(0, 1fr); padding-right: .75rem; color: var(--soft); }
.plot .y { position: relative; width: var(--label); margin-right: .6rem; font-variant-numeric: tabular-nums; }
.plot .y span { position: absolute; right: 0; transform: translateY(-50%); white-space: nowrap; }
.plot .x { position: relative; grid-column: 2; height: 1.2rem; margin-top: .45rem; }
.plot .x span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.plot .area { position: relative; height: var(--height); }
.plot .name { position: absolute; transform: translate(-50%, -50%); padding: .05rem .4rem; border-radius: .7rem;
  background: var(--card); color: var(--ink); border: 1.5px solid var(--c); font-weight: 600; white-space: nowrap;
  max-width: 7rem; overflow: hidden; text-overflow: ellipsis; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke-linecap: round; stroke-linejoin: round; }
.plot .grid { stroke: var(--grid); stroke-width: 1; stroke-linecap: butt; }
.plot .frame { stroke: var(--soft); stroke-width: 1; stroke-opacity: .5; }
.plot .line { stroke: var(--c); stroke-width: 2; }
.plot .dense { stroke: var(--c); stroke-width: 1.1; stroke-opacity: .75; }
.plot .marks { stroke: var(--c); stroke-width: 6; }
.plot .dots { stroke: var(--c); stroke-width: 5.5; stroke-opacity: .7; }
.axis { margin: 0 0 .6rem; color: var(--soft); }
.axis.below { margin: .2rem .75rem 0 0; max-width: none; text-align: center; }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); } .s4 { --c: var(--c4); }
.s5 { --c: var(--c5); } .s6 { --c: var(--c6); } .s7 { --c: var(--c7); } .s8 { --c: var(--c8); } .s9 { --c: var(--c9); }

.gallery { display: flex; }
.gallery .lines { container-type: inline-size; flex: 1; min-width: 0; }
.gallery .lines > div { display: flex; flex-wrap: wrap; gap: .75rem 6px; }
.gallery .lines > div > div, .gallery .labels { display: grid; gap: .2rem; align-content: start; }
.gallery img { border-radius: 2px; }
.gallery .labels { color: var(--soft); font-size: .8125rem; padding-right: .8rem; }
.gallery .labels span { display: flex; align-items: center; }

.matrix { width: auto; margin: 0; font-size: .875rem; line-height: 1; }
.matrix th, .matrix td {
  width: 2.9rem; min-width: 1.6rem; height: 2.5rem; padding: 0 .2rem; border: 1px solid var(--paper); text-align: center;
}
.matrix th { border: 0; }
.matrix td { background: rgb(var(--warm) / calc(var(--share) * 2.5)); border-radius: .3rem; }
.matrix td.right { background: rgb(var(--accent) / var(--share)); }
.matrix td.zero { color: var(--soft); opacity: .45; }
.matrix td.strong { color: #fff; }
@media (prefers-color-scheme: dark) { .matrix td.strong { color: #10141a; } }
.matrix tbody th { padding-right: .6rem; text-align: right; width: auto; }
.matrix caption { caption-side: top; text-align: left; color: var(--soft); padding-bottom: .5rem; white-space: nowrap; }
@media (max-width: 34rem) {
  .matrix { font-size: .75rem; }
  .few { width: 100%; table-layout: fixed; }
  .few th, .few td { width: auto; min-width: 0; height: 2rem; padding: 0; }
  .few tbody th { padding-right: .3rem; }
  .facts div { grid-template-columns: minmax(6rem, 8.5rem) minmax(0, 1fr); }
  .figures { gap: 1rem 2rem; }
  th, td { padding-right: 1.1rem; }
  pre { font-size: .6875rem; padding: .8rem; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
)css";

}  // namespace tapegrad::inline v0::detail
