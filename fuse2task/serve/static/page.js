// The page of `fuse2task serve`. Text from anywhere goes in as text, never as HTML.
"use strict";

const at = (id) => document.getElementById(id);
const chosen = { infrared: null, visible: null };
let options = null;
let answer = null;

function fail(message) {
  at("status").textContent = "";
  at("error").textContent = message;
}

async function reply(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Error(`the server answered with status ${response.status}; see the terminal`);
  }
  if (!response.ok) throw new Error(body.error);
  return body;
}

async function ask(address, request) {
  try {
    return await fetch(address, request);
  } catch {
    throw new Error("the server does not answer; does `fuse2task serve` still run?");
  }
}

// A file for one of the two places; too large ones are refused before they are sent.
function choose(modality, file) {
  at("error").textContent = "";
  const [preview, input] = [at(`preview-${modality}`), at(modality)];
  const hint = at(`drop-${modality}`).querySelector(".hint");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.removeAttribute("src");
  preview.hidden = true;
  hint.textContent = "drop an image here, or choose one";
  const tooLarge = file && file.size > options.limits.bytes;
  if (tooLarge) fail(`${file.name}: more than ${options.limits.bytes / 1e6} MB`);
  chosen[modality] = tooLarge || !file ? null : file;
  if (input.files[0] !== chosen[modality]) {
    const files = new DataTransfer();
    if (chosen[modality]) files.items.add(file);
    input.files = files.files; // so that the field names what is shown
  }
  if (chosen[modality]) {
    preview.onload = () => {
      preview.hidden = false;
      hint.textContent = `${preview.naturalWidth}x${preview.naturalHeight}`;
      compare();
    };
    preview.onerror = () => { hint.textContent = "no preview of this format"; };
    preview.alt = `the ${modality} image`;
    preview.src = URL.createObjectURL(file);
  }
  at("fuse").disabled = !(chosen.infrared && chosen.visible);
  compare();
}

// Both cameras on one place, where the previews have one size: edges that jump are not registered.
function compare() {
  const [visible, infrared] = [at("preview-visible"), at("preview-infrared")];
  const shown = !visible.hidden && !infrared.hidden;
  const same = ["naturalWidth", "naturalHeight"].every((side) => visible[side] === infrared[side]);
  at("compare").hidden = !(shown && same);
  if (at("compare").hidden) return;
  [at("below").src, at("above").src] = [visible.src, infrared.src];
  const [look, share, above] = [at("look").value, at("share").value, at("above")];
  above.classList.toggle("blinks", look === "blink");
  above.style.clipPath = look === "wipe" ? `inset(0 ${100 - share}% 0 0)` : "none";
  above.style.opacity = look === "blend" ? share / 100 : 1;
  at("share").disabled = look === "blink";
}

function cells(row, texts) {
  texts.forEach((text, column) => {
    const cell = document.createElement(column ? "td" : "th");
    if (!column) cell.scope = "row";
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

function fill(table, rows) {
  table.tBodies[0].replaceChildren(...rows.map((texts) => cells(document.createElement("tr"), texts)));
}

function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function drawBoxes() {
  const least = Number(at("confidence").value);
  at("confidence-value").textContent = least.toFixed(2);
  const boxes = (answer.boxes ?? []).filter((box) => box.score >= least - 1e-9);
  const letters = Math.max(answer.height / 32, 9);
  at("boxes").setAttribute("viewBox", `0 0 ${answer.width} ${answer.height}`);
  at("boxes").replaceChildren(...boxes.flatMap((box) => [
    shape("rect", { x: box.x, y: box.y, width: box.w, height: box.h }),
    shape("text", { x: box.x, y: box.y > letters ? box.y - letters * .3 : box.y + letters, "font-size": letters },
      `${box.class} ${box.score.toFixed(2)}`),
  ]));
  const whole = (...values) => values.map((value) => value.toFixed(0)).join(", ");
  fill(at("detections"), boxes.map((box) => [box.class, box.score.toFixed(2), whole(box.x, box.y), whole(box.w, box.h)]));
}

function show() {
  at("title").textContent = `${answer.method}, ${answer.width}x${answer.height}, fused in ${(answer.seconds * 1000).toFixed(0)} ms`;
  at("fused").src = answer.image;
  at("save").href = answer.image;
  at("save").download = `${answer.method}.png`;
  for (const id of ["detections", "slider"]) at(id).hidden = answer.boxes === null;
  drawBoxes();
  fill(at("scores"), Object.entries(answer.scores).map(([name, value]) => {
    const meaning = options.scores[name];
    return [name, value === null ? "not defined" : value.toFixed(3), meaning.range, meaning.better];
  }));
  at("result").hidden = false;
}

async function fuse() {
  const form = new FormData();
  form.append("method", at("method").value);
  for (const modality of ["infrared", "visible"]) form.append(modality, chosen[modality]);
  at("error").textContent = "";
  at("status").textContent = `${at("method").value} at work ...`;
  at("fuse").disabled = true;
  try {
    answer = await reply(await ask("fuse", { method: "POST", body: form }));
    show();
    at("status").textContent = "done";
  } catch (error) {
    at("result").hidden = true;
    fail(error.message);
  }
  at("fuse").disabled = !(chosen.infrared && chosen.visible);
}

async function takeExample() {
  try {
    for (const modality of ["infrared", "visible"]) {
      const response = await ask(`example/${modality}.png`);
      if (!response.ok) await reply(response);
      choose(modality, new File([await response.blob()], `synthetic-${modality}.png`, { type: "image/png" }));
    }
  } catch (error) {
    fail(error.message);
  }
}

async function start() {
  try {
    options = await reply(await ask("options"));
  } catch (error) {
    fail(error.message);
    return;
  }
  const { bytes, pixels, formats } = options.limits;
  at("limits").textContent = `${formats.join(", ")}; at most ${bytes / 1e6} MB and ${pixels / 1e6} megapixels each`;
  for (const name of options.methods) at("method").append(new Option(name, name));
  at("method").value = options.methods.find((name) => name.startsWith("crossfuse")) ?? "average";
  for (const modality of ["infrared", "visible"]) {
    const place = at(`drop-${modality}`);
    at(modality).addEventListener("change", (event) => choose(modality, event.target.files[0]));
    place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
    place.addEventListener("dragleave", () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      place.classList.remove("over");
      choose(modality, event.dataTransfer.files[0]);
    });
  }
  // A file dropped beside the two places must not replace the page.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
  at("form").addEventListener("submit", (event) => { event.preventDefault(); fuse(); });
  at("example").addEventListener("click", takeExample);
  at("confidence").addEventListener("input", drawBoxes);
  for (const id of ["look", "share"]) at(id).addEventListener("input", compare);
}

start();
