// The service map. Its drawing and its table are in the page; here they become searchable.
const boxes = [...at("services").querySelectorAll("[data-service]")];

for (const box of boxes) {
  const search = () => searchFor(queryFor(box.dataset.service));
  box.setAttribute("tabindex", "0");
  box.setAttribute("role", "button");
  box.addEventListener("click", search);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    search();
  });
}

function drawServices() {
  const found = new Set(hits.map((i) => trace.services[rows[i][PLACE]]));
  for (const box of boxes) box.classList.toggle("hit", found.has(box.dataset.service));
}
