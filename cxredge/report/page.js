"use strict";
(() => {
  const layer = (name) => document.getElementById(name);
  const show = (name, on) => { const found = name && layer(name); if (found) found.classList.toggle("off", !on); };

  // A picked heat map hides its neighbours; the words under the picture and on paper follow it.
  const pick = (input) => {
    for (const other of document.getElementsByName(input.name)) show(other.dataset.shows, other === input);
    for (const words of document.querySelectorAll(`[data-names="${input.name}"]`)) words.textContent = input.dataset.title;
  };
  const apply = (input) => {
    if (input.type === "checkbox") {
      show(input.dataset.shows, input.checked);
      const words = layer(`${input.dataset.shows}-key`);
      if (words) words.classList.toggle("unticked", !input.checked);
    }
    else if (input.type === "radio" && input.checked) pick(input);
    else if (input.type === "range") layer(input.dataset.fades).setAttribute("opacity", String(input.value / 100));
  };
  document.addEventListener("input", (event) => { if (event.target.matches("input")) apply(event.target); });
  // A browser that keeps a form over a reload keeps what was ticked: the picture must say the same.
  for (const input of document.querySelectorAll("input")) apply(input);
  document.documentElement.classList.add("scripted");
})();
