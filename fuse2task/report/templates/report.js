"use strict";
(() => {
  const page = document.documentElement;

  // Theme: the system's until the button is pressed.
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (page.dataset.theme ? page.dataset.theme === "dark" : system.matches);
  const remembered = (value) => {
    try {
      if (value) localStorage.setItem("fuse2task-theme", value);
      return localStorage.getItem("fuse2task-theme");
    } catch {
      return null; // a browser may refuse storage to files
    }
  };
  const pressed = () => button.setAttribute("aria-pressed", String(dark()));
  if (["light", "dark"].includes(remembered())) page.dataset.theme = remembered();
  button.addEventListener("click", () => {
    page.dataset.theme = dark() ? "light" : "dark";
    remembered(page.dataset.theme);
    pressed();
  });
  system.addEventListener("change", pressed);
  pressed();

  // Tables: a heading sorts its column, numbers highest first; cells without a value stay last.
  const sort = (table, column) => {
    const headings = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    const order = (row) => row.cells[column].dataset.order;
    const filled = rows.filter((row) => order(row) !== "");
    const numeric = filled.every((row) => !Number.isNaN(Number(order(row))));
    const before = headings[column].getAttribute("aria-sort");
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const direction = before === first ? second : first;
    const sign = direction === "ascending" ? 1 : -1;
    filled.sort((a, b) =>
      sign * (numeric ? Number(order(a)) - Number(order(b)) : order(a).localeCompare(order(b), "en", { numeric: true })));
    headings.forEach((heading, index) => heading.setAttribute("aria-sort", index === column ? direction : "none"));
    table.tBodies[0].append(...filled, ...rows.filter((row) => order(row) === ""));
  };
  for (const table of document.querySelectorAll("table.data")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) =>
      heading.querySelector("button").addEventListener("click", () => sort(table, column)));
  }

  // Viewer.
  const source = document.getElementById("scenes");
  if (!source) return;
  const scenes = JSON.parse(source.textContent);
  const get = (id) => document.getElementById(id);
  const stage = get("stage");
  const make = (tag, parent, text) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const draw = (tag, parent, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  };
  let scene = scenes[0];
  let ownChoice = false; // until the reader picks pictures, each scene shows the two that its note is about

  const boxes = (svg, rows, truth, least) => {
    const unit = scene.width / Math.max(stage.clientWidth, 1); // one CSS pixel in pixels of the image
    for (const [x, y, width, height, index, score] of rows) {
      if (!truth && score < least) continue;
      const { name, colour } = scene.classes[index];
      const shape = { x, y, width, height, fill: "none", "vector-effect": "non-scaling-stroke" };
      draw("rect", svg, { ...shape, stroke: "#000", "stroke-width": truth ? 3.5 : 3, "stroke-opacity": 0.55 });
      draw("rect", svg, { ...shape, stroke: truth ? "#fff" : colour, "stroke-width": 1.75, "stroke-dasharray": truth ? "5 4" : "none" });
      if (truth) continue;
      const label = draw("text", svg, {
        x, y: y > 14 * unit ? y - 3 * unit : y + height + 12 * unit, fill: colour, "font-size": 12 * unit,
        stroke: "#000", "stroke-width": 2.5 * unit, "paint-order": "stroke", "font-family": "sans-serif",
      });
      label.textContent = `${name} ${score.toFixed(2).replace(/^0/, "")}`;
    }
  };

  const fill = (layer, picture) => {
    layer.replaceChildren();
    const image = make("img", layer);
    image.src = picture.uri;
    image.alt = `${scene.image}, ${picture.name}`;
    const overlay = get("overlay").value;
    const truth = overlay === "truth" || overlay === "both";
    const found = overlay === "found" || overlay === "both";
    for (const uri of [truth && scene.truth.mask, found && picture.mask]) {
      if (!uri) continue;
      const mask = make("img", layer);
      mask.className = "mask";
      mask.alt = "";
      mask.src = uri;
    }
    const svg = draw("svg", layer, { viewBox: `0 0 ${scene.width} ${scene.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    if (truth && scene.truth.boxes) boxes(svg, scene.truth.boxes, true, 0);
    if (found && picture.boxes) boxes(svg, picture.boxes, false, Number(get("confidence").value));
    make("span", layer, picture.name).className = "tag";
  };

  const picked = (id) => scene.pictures.find((picture) => picture.name === get(id).value) || scene.pictures[0];
  const redraw = () => {
    get("confidence-value").textContent = Number(get("confidence").value).toFixed(2);
    fill(get("left-layer"), picked("left"));
    fill(get("right-layer"), picked("right"));
    wipe();
  };
  const wipe = () => {
    const slider = get("wipe");
    stage.style.setProperty("--cut", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % ${picked("left").name}, rest ${picked("right").name}`);
  };
  const choose = (select, names, wanted) => {
    const kept = ownChoice && names.includes(select.value);
    const value = kept ? select.value : names.includes(wanted) ? wanted : names[0];
    select.replaceChildren();
    for (const name of names) make("option", select, name).value = name;
    select.value = value;
  };
  const open = (index) => {
    scene = scenes[index];
    [...get("thumbs").children].forEach((thumb, number) => thumb.setAttribute("aria-pressed", String(number === index)));
    get("notes").textContent = `${scene.dataset} ${scene.image}, judge ${scene.judge}: ${scene.notes.join("; ")}.`;
    stage.style.aspectRatio = `${scene.width} / ${scene.height}`;
    const names = scene.pictures.map((picture) => picture.name);
    choose(get("left"), names, scene.pair[1]);
    choose(get("right"), names, scene.pair[0]);
    const masks = scene.task === "segmentation";
    get("confidence-label").hidden = masks;
    const both = get("overlay").options[0];
    both.disabled = both.hidden = masks; // two masks on top of each other show neither
    if (masks && get("overlay").value === "both") get("overlay").value = "found";
    const legend = get("classes");
    legend.replaceChildren();
    const key = (kind, text, colour) => {
      const item = make("span", legend);
      const swatch = make("i", item);
      swatch.className = `key ${kind}`;
      if (colour) swatch.style.background = colour;
      item.append(text);
    };
    if (!masks) {
      key("truth", "truth");
      key("found", "found, with confidence");
    }
    scene.classes.forEach(({ name, colour }, number) => {
      if (!masks || number > 0) key("swatch", name, colour);
    });
    redraw();
  };
  scenes.forEach((item, index) => {
    const thumb = make("button", get("thumbs"));
    thumb.type = "button";
    const image = make("img", thumb);
    image.src = (item.pictures.find((picture) => picture.name === "visible") || item.pictures[0]).uri;
    image.alt = "";
    make("span", thumb, `${item.gain > 0 ? "▲" : "▼"} ${item.pair[0]}`);
    make("span", thumb, item.image);
    thumb.title = item.notes.join("; ");
    thumb.setAttribute("aria-label", `${item.image}: ${thumb.title}`);
    thumb.addEventListener("click", () => open(index));
  });
  for (const id of ["left", "right"]) get(id).addEventListener("change", () => { ownChoice = true; redraw(); });
  get("overlay").addEventListener("change", redraw);
  get("confidence").addEventListener("input", redraw);
  get("wipe").addEventListener("input", wipe);
  const drag = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const { left, width } = stage.getBoundingClientRect();
    get("wipe").value = String((100 * (event.clientX - left)) / width);
    wipe();
  };
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  new ResizeObserver(redraw).observe(stage);
  open(0);
})();
