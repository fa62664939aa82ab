// Images at a whole number of the screen's pixels per pixel.

const LARGEST = 4; // screen pixels, at a ratio of 1, per pixel

export async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  image.draggable = false;
  return image;
}

// Sizes the images of an element so that they fit next to each other, also after the window has another size.
export function fit(holder, across) {
  const all = () => holder.querySelectorAll("img").forEach((image) => size(image, holder, across));
  all();
  const resized = () => (holder.isConnected ? all() : removeEventListener("resize", resized));
  addEventListener("resize", resized);
}

function size(image, holder, across) {
  const ratio = window.devicePixelRatio || 1;
  const gap = parseFloat(getComputedStyle(holder).columnGap) || 0;
  const width = (document.documentElement.clientWidth - gap * (across - 1)) / across;
  const height = 0.6 * document.documentElement.clientHeight;
  const room = (Math.min(width, height) * ratio) / image.naturalWidth;
  const scale = Math.max(1, Math.min(Math.floor(room), Math.round(LARGEST * ratio)));
  image.style.width = `${(image.naturalWidth * scale) / ratio}px`;
  image.style.height = `${(image.naturalHeight * scale) / ratio}px`;
  image.dataset.scale = scale;
}

export function element(tag, text, parent, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = name;
  parent.append(made);
  return made;
}

export function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}
