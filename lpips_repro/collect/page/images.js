// Images at a whole number of the screen's pixels per pixel.

const LARGEST = 4; // screen pixels, at a ratio of 1, per pixel

export async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// Sizes an image so that `across` of them fit next to each other.
export function fit(image, across) {
  const ratio = window.devicePixelRatio || 1;
  const gaps = 4 * (across + 1);
  const width = (document.documentElement.clientWidth - gaps) / across;
  const height = 0.6 * document.documentElement.clientHeight;
  const room = (Math.min(width, height) * ratio) / image.naturalWidth;
  const scale = Math.max(1, Math.min(Math.floor(room), Math.round(LARGEST * ratio)));
  image.style.width = `${(image.naturalWidth * scale) / ratio}px`;
  image.style.height = `${(image.naturalHeight * scale) / ratio}px`;
  image.dataset.scale = scale;
  image.draggable = false;
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
