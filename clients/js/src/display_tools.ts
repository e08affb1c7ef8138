// Types of the display tools, generated from their schemas (`GET /tools/{name}`) by `make docs`.

export interface Form {
  title: string;
  description?: string;
  fields: (TextField | NumberField | ChoiceField | MultiSelectField | CheckboxField | DateField | TimeField | FileField)[];
  submitLabel: string;
}

/** A checkbox; if required, it must be checked. */
export interface CheckboxField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  type: "checkbox";
  default: boolean;
}

/** One of the options. */
export interface ChoiceField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  options: Option[];
  type: "select" | "radio";
  placeholder?: string;
  default?: string;
}

/** Condition on an earlier field. While it is false, the field is hidden and has no value. */
export interface Condition {
  field: string;
  /** Value of the field; for a multi-select, one of the selected values. */
  equals: string | number | boolean;
}

export interface DateField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  type: "date";
  min?: string;
  max?: string;
  default?: string;
}

export interface FileField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  type: "file";
  /** Accepted types, such as image/*, application/pdf or .csv. */
  accept?: string[];
  multiple: boolean;
  maxBytes?: number;
}

/** Any number of the options. */
export interface MultiSelectField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  options: Option[];
  type: "multi-select";
  minItems?: number;
  maxItems?: number;
  default?: string[];
}

export interface NumberField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  type: "number";
  placeholder?: string;
  min?: number;
  max?: number;
  /** Step between values; 1 for integers, any number if omitted. */
  step?: number;
  unit?: string;
  default?: number;
}

export interface Option {
  value: string;
  label: string;
}

export interface TextField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  type: "text" | "email" | "url" | "tel" | "textarea";
  placeholder?: string;
  minLength?: number;
  maxLength?: number;
  /** JavaScript regular expression that the whole value must match. */
  pattern?: string;
  default?: string;
}

export interface TimeField {
  name: string;
  label: string;
  help?: string;
  required: boolean;
  visibleWhen?: Condition;
  type: "time";
  min?: string;
  max?: string;
  default?: string;
}

export interface Chart {
  type: "line" | "bar" | "area" | "pie" | "scatter";
  title: string;
  /** Text alternative for users who cannot see the chart. */
  description?: string;
  /** Labels of the x axis or of the pie slices; not for scatter. */
  categories?: string[];
  /** time: ascending ISO dates or date-times, spaced by time; for line, area and bar. */
  categoryType: "label" | "time";
  /** A pie has exactly one. */
  series: Series[];
  /** Axis of the categories or of x; not for pie. */
  xAxis?: Axis;
  /** Axis of the values, including those of a pie. */
  yAxis?: Axis;
  /** Only for bar and area. */
  stacked: boolean;
  /** Horizontal bars with the categories on the vertical axis; only for bar. */
  horizontal: boolean;
}

export interface Axis {
  label?: string;
  /** Unit such as kg; for format currency an ISO 4217 code such as EUR. */
  unit?: string;
  /** Number format. compact: 1.2M; percent: 25 means 25 %. */
  format: "number" | "compact" | "percent" | "currency";
  decimals?: number;
  min?: number;
  max?: number;
}

export interface Point {
  x: number;
  y: number;
  label?: string;
}

export interface Series {
  name: string;
  /** One value per category, null for a gap; not for scatter. */
  values?: (number | null)[];
  /** Only for scatter. */
  points?: Point[];
  color?: string;
}

export interface Code {
  /** Language such as python or typescript; text if none applies. */
  language: string;
  code: string;
  /** The code before a change, starting at the same line number; shown as a diff to `code`. */
  before?: string;
  title?: string;
  filename?: string;
  /** Line number of the first line. */
  startLine: number;
  /** Line numbers to highlight, counted from startLine. */
  highlightedLines?: number[];
}

export interface Card {
  title: string;
  subtitle?: string;
  media?: Media;
  /** Markdown. */
  body?: string;
  badges?: Badge[];
  facts?: Fact[];
  /** Buttons below the text; at most one is primary. */
  actions?: (LinkAction | ReplyAction | SubmitAction)[];
  /** Position of the media: above the text (vertical) or beside it (horizontal). */
  layout: "vertical" | "horizontal";
}

export interface Badge {
  label: string;
  tone: "neutral" | "info" | "success" | "warning" | "danger";
}

export interface Fact {
  label: string;
  value: string;
}

/** Opens a page or an email. */
export interface LinkAction {
  label: string;
  style: "primary" | "secondary";
  type: "link";
  url: string;
}

/** An image. */
export interface Media {
  url: string;
  /** What the image shows. */
  alt: string;
}

/** Sends the text as the user's next message. */
export interface ReplyAction {
  label: string;
  style: "primary" | "secondary";
  type: "reply";
  text: string;
}

/** Sends a named action to the application. */
export interface SubmitAction {
  label: string;
  style: "primary" | "secondary";
  type: "submit";
  name: string;
  values?: Record<string, string>;
}

/** For `UIMessage<unknown, UIDataTypes, DisplayTools>`. Render `output`. */
export type DisplayTools = {
  generateForm: { input: Partial<Form>; output: Form };
  generateChart: { input: Partial<Chart>; output: Chart };
  generateCode: { input: Partial<Code>; output: Code };
  generateCard: { input: Partial<Card>; output: Card };
};
