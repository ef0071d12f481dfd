// The arrows that open a part of the list of pages have no text: name them for those who hear the page.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("details > summary")) {
    if (summary.textContent.trim() === "") {
      const link = summary.closest("li")?.querySelector("a");
      summary.setAttribute("aria-label", `Pages of ${link ? link.textContent.trim() : "this part"}`);
    }
  }
});
