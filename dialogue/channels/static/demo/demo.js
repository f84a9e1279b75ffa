/** The demo page: the widget's options from the address, and the line to copy with these options. */
const tag = [...document.scripts].find((script) => script.src.endsWith("/widget.js"));
const wished = new URLSearchParams(location.search);
const options = ["lang", "theme", "position"];

// This script stands before the widget's, so what is set here is what the widget reads.
for (const name of options) {
  const value = wished.get(name);
  const choice = document.getElementById(name);
  if (!value || ![...choice.options].some((option) => option.value === value)) continue;
  tag.dataset[name] = value;
  choice.value = value;
}
const chosen = options.filter((name) => tag.dataset[name]).map((name) => ` data-${name}="${tag.dataset[name]}"`);
const line = `<script src="${tag.src}"${chosen.join("")} defer></script>`;
document.getElementById("tag").textContent = line;
document.getElementById("open").addEventListener("click", () => window.starfold.open());
document.getElementById("copy").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(line);
  event.target.textContent = "Copied";
});
for (const name of options) {
  document.getElementById(name).addEventListener("change", (event) => {
    if (event.target.value) wished.set(name, event.target.value);
    else wished.delete(name);
    location.search = wished.toString();
  });
}
