#!/bin/sh
# Opens a report in headless Chromium, 1280 and 390 pixels wide, in light and dark colours, and fails when something
# sticks out of the page, a picture does not load, the last line of a gallery is not full, or the colours are not those
# that were asked for. Fails as well when the page contains a script or refers to anything outside of it. Leaves screenshots in DIRECTORY if one is given.
# Exits with 77 when there is no Chromium.    check_report.sh PAGE [DIRECTORY]
set -eu
page=$1
shots=${2:-}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "check_report.sh: Chromium is not installed, nothing was checked"
  exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM

fail() { echo "check_report.sh: $page: $*" >&2; exit 1; }

grep -q "Content-Security-Policy.*default-src 'none'" "$page" || fail "nothing forbids the page to load something"
# Of the page's own tags; text that looks like one has its < escaped.
if grep -Eio '<(script|link|iframe|object|embed|base|form)[ >]|<[^>]* on[a-z]+=|src="[^d][^"]*"|@import|url\(' "$page"; then
  fail "the page is not on its own"
fi

# The copies that are looked at measure themselves, and tell the page that shows them. (A window of Chromium's is at
# least 500 pixels wide; a frame may be narrower.)
cat > "$scratch/measure.js" <<'END'
addEventListener('load', () => {
  const root = document.documentElement, wide = root.clientWidth, found = [];
  if (root.scrollWidth > wide) found.push(`scrollWidth ${root.scrollWidth} > ${wide}`);
  for (const e of document.body.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if (!e.closest('.scroll > *') && (box.right > wide + 0.5 || box.left < -0.5))
      found.push(`${e.tagName}.${e.className.baseVal ?? e.className} reaches from ${box.left} to ${box.right} of ${wide}`);
  }
  for (const image of document.images) if (!image.naturalWidth) found.push('a picture does not load');
  for (const gallery of document.querySelectorAll('.lines > div')) {
    const tops = [...gallery.children].filter(e => e.offsetParent).map(e => e.offsetTop);
    const first = tops.filter(top => top === tops[0]).length, last = tops.filter(top => top === tops.at(-1)).length;
    if (last !== first) found.push(`the last line of a gallery has ${last} images, its first ${first}`);
  }
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  if ((r + g + b < 384) !== dark) found.push('the paper does not follow the colour scheme');
  parent.postMessage(`[${wide} ${dark ? 'dark' : 'light'}: ${found.length ? found.slice(0, 5).join('; ') : 'fits'}]`, '*');
});
END
{ sed '/Content-Security-Policy/d' "$page"; echo '<script>'; cat "$scratch/measure.js"; echo '</script>'; } \
  > "$scratch/copy.html"
cat > "$scratch/frames.html" <<'END'
<!DOCTYPE html><html style="color-scheme: light dark"><body>
<script>addEventListener('message', e => document.body.append(new Text('\n' + e.data + '\n')));</script>
<iframe src="copy.html" style="width: 1280px; height: 900px; border: 0"></iframe>
<iframe src="copy.html" style="width: 390px; height: 900px; border: 0"></iframe>
END
sed 's/390px; height: 900px/390px; height: 6500px/; /1280px/d' "$scratch/frames.html" > "$scratch/narrow.html"

browse() { # light or dark, then options and the page
  scheme=1
  [ "$1" = light ] || scheme=0
  shift
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
    --allow-file-access-from-files --user-data-dir="$scratch/profile" --blink-settings=preferredColorScheme=$scheme \
    "$@" 2>"$scratch/log" || { cat "$scratch/log" >&2; fail "the browser failed"; }
}

for colours in light dark; do
  browse $colours --window-size=1400,1900 --virtual-time-budget=20000 --dump-dom "file://$scratch/frames.html" \
    > "$scratch/dom.html"
  for width in 1280 390; do
    grep -q "^\[$width $colours: fits\]$" "$scratch/dom.html" ||
      fail "$width pixels wide, $colours: $(grep "^\[$width" "$scratch/dom.html" || echo "nothing was measured")"
  done
  [ -n "$shots" ] || continue
  mkdir -p "$shots"
  browse $colours --window-size=1280,3600 --screenshot="$shots/1280_$colours.png" "file://$(realpath "$page")"
  browse $colours --window-size=500,6500 --screenshot="$shots/390_$colours.png" "file://$scratch/narrow.html"
done
echo "check_report.sh: $page fits 1280 and 390 pixels, light and dark"
