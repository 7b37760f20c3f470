// Wide tables can be scrolled with the keyboard; the theme itself sees to code.
for (const element of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset table")) {
  element.tabIndex = 0;
}
