// The flame graph of the trace. Spans of the same service and operation, below the same ones, are one step.
const steps = [];   // {service, operation, above, own, spans}; above: the position of the step above, -1 without one
let flame = null;   // made when the view is first opened

function makeSteps() {
  const known = new Map(), stepOf = [];
  rows.forEach((row, i) => {
    const above = parent(i) < 0 ? -1 : stepOf[parent(i)], key = `${above} ${row[PLACE]} ${row[OP]}`;
    if (!known.has(key)) {
      known.set(key, steps.length);
      steps.push({service: row[PLACE], operation: row[OP], above, own: 0, spans: []});
    }
    stepOf.push(known.get(key));
    const step = steps[stepOf[i]];
    step.own += row[SELF];
    step.spans.push(i);
  });
}

const stepLabel = ({service, operation}) => trace.services[service] ? `${operation} [${trace.services[service]}]` : operation;

function showStep(position) {
  const step = steps[position];
  at("step").replaceChildren();
  if (!step) return;
  const times = `${step.spans.length} span${step.spans.length > 1 ? "s" : ""}, ${took(flame.totals()[position])}, itself ${took(step.own)}`;
  const search = make("button", "", "Search for these spans");
  search.onclick = () => searchFor(queryFor(trace.services[step.service], step.operation));
  at("step").append(make("b", "", stepLabel(step)), ` ${times} `, search);
}

function drawFlames() {
  if (!flame) {
    makeSteps();
    const own = steps.map((step) => step.own);
    flame = flameGraph(at("flame"), steps.map((step) => step.above), {
      weights: () => own,
      label: (step) => stepLabel(steps[step]),
      tone: (step) => `hsl(${hue(steps[step].service)} var(--frame-s) var(--frame-l))`,
      missed: (step) => hits.length > 0 && !steps[step].spans.some((i) => hitSet.has(i)),
      chose: showStep,
    });
  }
  flame.draw();
}
