/* Candidates that are named somewhere on the page: their names are buttons that select them. */

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-pick]");
  if (!button) return;
  choose(button.dataset.pick);
  document.getElementById("h-selected").scrollIntoView({ block: "nearest" });
});
