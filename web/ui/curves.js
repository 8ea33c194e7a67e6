// Curves of training runs: drawn in place as they grow, by step or by time, smoothed or as they were logged.
(() => {
  "use strict";
  const HEIGHT = 260, LEAST_SMOOTHED = .08, NEAR = 3;

  // An exponential mean that starts at the first value, corrected for the points that it has not seen.
  const smoothed = (points, weight) => {
    let mean = 0, seen = 0;
    return points.map(([at, value]) => { mean = weight * mean + (1 - weight) * value; seen = weight * seen + (1 - weight); return [at, mean / seen]; });
  };
  const span = seconds => seconds >= 7200 ? [3600, "hours"] : seconds >= 180 ? [60, "minutes"] : [1, "s"];

  // Steps that are marked, as upright lines whose labels stand above each other.
  const marked = (marks, {points}, size) => marks.map(({step, name}, level) => {
    const seconds = (points.find(point => point[0] >= step) || points.at(-1))[1];
    return {name, xAxis: size ? seconds / size : step, level};
  });

  // A chart as wb.drawer takes it. The raw curve stays, faint, behind a smoothed one.
  const option = ({title, unit, zero, series, ceiling, marks}, total, along, weight) => {
    const last = Math.max(...series.flatMap(one => one.points.map(point => point[1]))), [size, name] = span(last);
    const byTime = along === "time", placed = one => one.points.map(([step, seconds, value]) => [byTime ? seconds / size : step, value]);
    const drawn = series.flatMap(one => {
      const points = placed(one), base = {type: "line", name: one.name, tone: one.tone, dashed: one.apart, dash: one.dash, signed: one.apart || points.length < 2};
      if (!weight || points.length < 3 || one.apart) return [{...base, data: points}];
      return [{...base, name: `${one.name}, as logged`, data: points, faint: true}, {...base, data: smoothed(points, weight)}];
    });
    const most = Math.max(...series.flatMap(one => one.points.map(point => point[2]))), isNear = ceiling && most > ceiling / NEAR;
    const least = Math.min(...series.flatMap(one => one.points.map(point => point[2]))), isFromZero = zero && least >= 0;  // an estimate of KL may fall below
    const lines = [...(isNear ? [{name: `ends at ${ceiling}`, yAxis: ceiling, level: 0}] : []), ...marked(marks || [], series[0], byTime ? size : 0)];
    if (lines.length) drawn[0].markLine = {data: lines};
    const yName = ceiling && !isNear ? `${unit}; ends at ${ceiling}` : unit;  // a curve far below it would be flat
    const xName = byTime ? `training time, ${name}` : "step", rows = new Map();
    series.forEach((one, n) => placed(one).forEach(([at, value]) => { if (!rows.has(at)) rows.set(at, Array(series.length).fill(null)); rows.get(at)[n] = value; }));
    const ordered = [...rows].sort((one, other) => one[0] - other[0]).map(([at, values]) => [at, ...values]);
    return {
      kind: "curves", unit, description: `${title} by ${byTime ? "time" : "step"}. ${(marks || []).map(({step, name}) => `${name} at step ${step}. `).join("")}${series.map(one => `${one.name}: ${one.points.at(-1)[2]} at step ${one.points.at(-1)[0]}`).join("; ")}.`,
      xAxis: {type: "value", name: xName, min: 0, ...(byTime || !total ? {} : {max: total}), ...(byTime ? {} : {minInterval: 1})},
      yAxis: {type: "value", name: yName, ...(isFromZero ? {min: 0} : {scale: true}), ...(isNear ? {max: Math.max(most, ceiling) * 1.08} : {})}, series: drawn,
      table: {head: [xName, ...series.map(one => unit ? `${one.name}, ${unit}` : one.name)], rows: ordered},
    };
  };

  // The answers of one step at a time.
  document.addEventListener("input", event => {
    const slide = event.target.closest("[data-slide]");
    if (!slide) return;
    const box = slide.closest("[data-tries]"), steps = [...box.querySelectorAll("[data-at]")];
    steps.forEach((each, at) => { each.hidden = at !== +slide.value; });
    slide.setAttribute("aria-valuetext", `step ${steps[slide.value].dataset.at}`);
    box.querySelector("output").textContent = steps[slide.value].dataset.at;
  });

  // From an alarm to what was answered then.
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-see]");
    if (!button) return;
    const box = button.closest("[data-whole]").querySelector("[data-tries]"), slide = box?.querySelector("[data-slide]");
    const at = box ? [...box.querySelectorAll("[data-at]")].findIndex(each => each.dataset.at === button.dataset.see) : -1;
    if (slide && at >= 0) { slide.value = at; slide.dispatchEvent(new Event("input", {bubbles: true})); }
    box?.scrollIntoView({block: "start"});
    slide?.focus({preventScroll: true});
  });

  const place = title => {
    const box = document.createElement("section");
    box.innerHTML = `<div class="wb" data-chart hidden><h2></h2><div class="chart" style="height:${HEIGHT}px" role="img"></div>
      <details class="fold soft"><summary>The same as a table</summary><div class="scroll tall" tabindex="0" role="region"><table></table></div></details></div>`;
    box.querySelector("h2").textContent = title;
    for (const named of box.querySelectorAll(".scroll, .chart")) named.setAttribute("aria-label", title);
    return box;
  };

  // The curves below `root`; take(json or object) draws them anew, and only those that have changed.
  wb.curves = root => {
    const box = root.querySelector("[data-curves]");
    if (!box) return {take: () => {}};
    if (box.wbCurves) return box.wbCurves;  // the same place shows a job that is followed anew, or the next one
    const host = box.querySelector("[data-charts]"), smoothing = box.querySelector("[data-smoothing]"), along = box.querySelector("[data-along]");
    const charts = new Map();
    let data = {charts: []};
    const draw = () => {
      for (const [id, held] of charts) if (!data.charts.some(chart => chart.id === id)) { held.section.remove(); charts.delete(id); }
      for (const chart of data.charts) {
        if (!charts.has(chart.id)) {
          const section = place(chart.title), held = {said: "", option: null, section};
          held.draw = wb.drawer(() => section.querySelector("[data-chart]"), () => held.option);
          host.append(section);
          charts.set(chart.id, held);
        }
        const held = charts.get(chart.id), said = JSON.stringify([chart, data.total, along.value, smoothing.value]);
        if (held.said === said) continue;
        held.said = said;
        held.option = option(chart, data.total, along.value, smoothing.value > LEAST_SMOOTHED ? +smoothing.value : 0);
        held.draw();
      }
      box.dataset.points = Math.max(0, ...data.charts.flatMap(chart => chart.series.map(one => one.points.length)));
    };
    for (const control of [smoothing, along]) control.addEventListener("input", draw);
    return box.wbCurves = {take: given => {
      data = (typeof given === "string" ? given && JSON.parse(given) : given) || {charts: []};
      box.hidden = !data.charts.length;
      draw();
    }};
  };
})();
