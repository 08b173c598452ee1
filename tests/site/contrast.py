"""The contrast of text as it is painted, for what axe cannot decide: text in drawings, on patterns, behind other boxes.

Two pictures of a page are taken, one with its text invisible and one with its text in magenta. Where they differ there
is a glyph, and the first shows what is behind it. The ink is that of the style, with the opacity of all that is around.
"""

from __future__ import annotations

import base64

MOST = 0.05  # the share of a text's pixels that may be on worse ground: a thin line that crosses it
ROUNDS = 40  # of scrolling boxes until all texts have been in sight

# Remembers the elements of `wanted` (selectors). Nothing moves or stays in place while boxes scroll, and these are as
# high as what is in them.
START = """(wanted) => {
  const style = document.createElement('style');
  style.textContent = '*, *::before, *::after { transition: none !important; } '
    + '[data-contrast="none"] * { -webkit-text-fill-color: transparent !important; } '
    + '[data-contrast="none"] :is(text, tspan) { fill: transparent !important; } '
    + '[data-contrast="all"] * { -webkit-text-fill-color: #f0f !important; } '
    + '[data-contrast="all"] :is(text, tspan) { fill: #f0f !important; fill-opacity: 1 !important; } ';
  document.head.append(style);
  const all = [...document.body.querySelectorAll('*')];
  const stays = all.filter((at) => getComputedStyle(at).position === 'sticky');
  const high = all.filter((at) => at.scrollHeight > at.clientHeight
    && /auto|scroll/.test(getComputedStyle(at).overflowY));
  for (const at of stays) at.style.setProperty('position', 'static', 'important');
  for (const at of high) at.style.cssText += '; height: auto !important; max-height: none !important';
  window.zooContrast = wanted.map((selector) => document.querySelector(selector));
}"""

# For each of the texts `left`, by number: its boxes on the page as far as they are in sight. None: it may be later on.
# null: it is as far in sight as it can be, and not seen. The first in each box that scrolls is brought into sight.
BOXES = """(left) => {
  const all = window.zooContrast;
  const scrolls = (at) => !at || ((at.scrollWidth > at.clientWidth || at.scrollHeight > at.clientHeight)
    && /auto|scroll/.test(getComputedStyle(at).overflow)) ? at : scrolls(at.parentElement);
  const firsts = new Map(left.toReversed().map((number) => [scrolls(all[number].parentElement), number]));
  const brought = new Set(firsts.values());
  for (const number of brought) all[number].scrollIntoView({ block: 'nearest', inline: 'start', behavior: 'instant' });
  scrollTo({ left: 0, top: 0, behavior: 'instant' });
  const boxes = (element) => {
    const found = [];
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || !node.data.trim()) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      found.push(...range.getClientRects());
    }
    return found.filter((box) => box.width >= 1 && box.height >= 1);
  };
  return left.map((number) => {
    const whole = boxes(all[number]);
    const seen = [];
    for (const box of whole) {
      let [x, y, right, bottom] = [Math.max(0, box.left), box.top, Math.min(innerWidth, box.right), box.bottom];
      for (let at = all[number].parentElement; at && at !== document.body; at = at.parentElement) {
        if (!at.namespaceURI.endsWith('xhtml') || getComputedStyle(at).overflow === 'visible') continue;
        const edge = at.getBoundingClientRect();
        [x, y] = [Math.max(x, edge.left), Math.max(y, edge.top)];
        [right, bottom] = [Math.min(right, edge.right), Math.min(bottom, edge.bottom)];
      }
      if (right - x >= 1 && bottom - y >= 1) seen.push([x, y, right, bottom]);
    }
    const area = (list) => list.reduce((sum, [x, y, right, bottom]) => sum + (right - x) * (bottom - y), 0);
    const share = area(seen) / area(whole.map((box) => [box.left, box.top, box.right, box.bottom]));
    return share > 0.9 || (brought.has(number) && seen.length) ? seen : brought.has(number) ? null : [];
  });
}"""

# For each text its contrast, but for a share of its pixels that may be worse. 1 where no glyph is seen.
COMPARE = """async ([bare, magenta, area, texts, most]) => {
  const pixels = async (data) => {
    const picture = await createImageBitmap(await (await fetch('data:image/png;base64,' + data)).blob());
    const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d', { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return context.getImageData(0, 0, picture.width, picture.height);
  };
  const [ground, marked] = [await pixels(bare), await pixels(magenta)];
  const one = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const parsed = (colour) => {
    one.clearRect(0, 0, 1, 1);
    one.fillStyle = colour;
    one.fillRect(0, 0, 1, 1);
    return [...one.getImageData(0, 0, 1, 1).data];
  };
  const linear = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
  return texts.map(([number, boxes]) => {
    const element = window.zooContrast[number];
    const style = getComputedStyle(element);
    const drawn = element.namespaceURI.endsWith('svg');
    const ink = parsed(drawn ? style.fill : style.color);
    let around = 1;
    for (let at = element; at; at = at.parentElement) around *= Number(getComputedStyle(at).opacity);
    const solid = around * (ink[3] / 255) * (drawn ? Number(style.fillOpacity) : 1);
    const found = [];
    for (const [left, top, right, bottom] of boxes) {
      for (let y = Math.floor(top - area.y); y < Math.min(ground.height, bottom - area.y); y++) {
        for (let x = Math.floor(left - area.x); x < Math.min(ground.width, right - area.x); x++) {
          if (x < 0 || y < 0) continue;
          const place = 4 * (y * ground.width + x);
          const behind = [0, 1, 2].map((part) => ground.data[place + part]);
          const change = Math.max(...[0, 1, 2].map((part) => Math.abs(marked.data[place + part] - behind[part])));
          const whole = around * Math.max(...[255, 0, 255].map((part, k) => Math.abs(part - behind[k])));
          if (change < 0.5 * whole || change < 8) continue;
          const pair = [light(behind), light(behind.map((part, k) => part + solid * (ink[k] - part)))];
          found.push((Math.max(...pair)) / Math.min(...pair));
        }
      }
    }
    return found.length ? found.sort((a, b) => a - b)[Math.floor(found.length * most)] : 1;
  });
}"""


def measured(page, selectors: list[str]) -> list[float]:
    """The contrast of the text of each of these elements; 1 where no glyph of it could be seen.

    Changes the page's styles and where its boxes are scrolled to.
    """
    page.evaluate(START, selectors)
    found = [1.0] * len(selectors)
    left = list(range(len(selectors)))
    for _ in range(ROUNDS):
        boxes = page.evaluate(BOXES, left)
        texts = [(number, own) for number, own in zip(left, boxes, strict=True) if own]
        left = [number for number, own in zip(left, boxes, strict=True) if own == []]
        if texts:
            edges = [box for _, own in texts for box in own]
            x, y = (max(0, int(min(box[side] for box in edges)) - 1) for side in (0, 1))
            area = {"x": x, "y": y, "width": int(max(box[2] for box in edges)) + 2 - x,
                    "height": int(max(box[3] for box in edges)) + 2 - y}  # fmt: skip
            pictures = []
            for ink in ("none", "all"):
                page.evaluate("ink => document.documentElement.dataset.contrast = ink", ink)
                pictures.append(base64.b64encode(page.screenshot(full_page=True, clip=area)).decode())
            page.evaluate("delete document.documentElement.dataset.contrast")
            ratios = page.evaluate(COMPARE, [*pictures, area, texts, MOST])
            for (number, _), ratio in zip(texts, ratios, strict=True):
                found[number] = ratio
        if not left:
            break
    return found
