// Formulas as HTML: a line of JSON in, {"tex", "display"}, a line of JSON out, {"html"} or {"error"}.
const katex = require(process.argv[2]);
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  const {tex, display} = JSON.parse(line);
  let answer;
  try {
    answer = {html: katex.renderToString(tex, {displayMode: display, strict: "error"})};
  } catch (error) {
    answer = {error: error.message};
  }
  console.log(JSON.stringify(answer));
});
