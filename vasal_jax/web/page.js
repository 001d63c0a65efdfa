// The chart and the videos of the page go together: the line in the chart is where the player is, and a press on the
// chart takes the players there.
(() => {
  const seconds = (value) => value.toFixed(2) + " s";
  const percent = (value) => Math.round(100 * value) + "%";

  function show(chart, time) {
    const end = parseFloat(chart.dataset.end);
    const head = chart.querySelector(".vasal-head");
    const x = Math.min(1, time / end) * 1000;
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    const frames = chart.frames || (chart.frames = JSON.parse(chart.dataset.frames));
    let last = frames[0];
    for (const frame of frames) {
      if (frame[0] > time + 1e-3) break;
      last = frame;
    }
    const [, track, weight, talking] = last;
    chart.querySelector(".vasal-now").textContent =
      track === null
        ? `${seconds(time)}: no face`
        : `${seconds(time)}: face ${track} is the heaviest with ${percent(weight)} of the weight, ` +
          `and talks with a probability of ${percent(talking)}`;
  }

  const follow = (event) => {
    if (!event.target.closest || !event.target.closest("#results")) return;
    document.querySelectorAll(".vasal-chart").forEach((chart) => show(chart, event.target.currentTime));
  };
  for (const name of ["timeupdate", "seeked"]) document.addEventListener(name, follow, true);

  document.addEventListener("click", (event) => {
    const plot = event.target.closest && event.target.closest(".vasal-plot svg");
    if (!plot) return;
    const chart = plot.closest(".vasal-chart");
    const box = plot.getBoundingClientRect();
    const time = ((event.clientX - box.left) / box.width) * parseFloat(chart.dataset.end);
    show(chart, time);
    document.querySelectorAll("#results video").forEach((video) => {
      video.currentTime = time;
    });
  });
})();
