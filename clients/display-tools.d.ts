// Types of the display tools, generated from their schemas (`GET /tools/{name}`) by `make docs`.

export interface Form {
  title: string;
  description?: string;
  fields: (TextField | NumberField | ChoiceField | MultiSelectField | CheckboxField | DateField | TimeField | FileField)[];
  submitLabel: string;
}

/** Yes or no; required means it must be ticked. */
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

/** Of an earlier field; while it does not hold the field is hidden, and has no value. */
export interface Condition {
  field: string;
  /** The field's value; of a multi-select one that is chosen. */
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
  /** Like image/*, application/pdf or .csv. */
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
  /** 1 for whole numbers; without it any. */
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
  /** JavaScript regular expression for the whole value. */
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
  /** What the chart shows, for readers who cannot see it. */
  description?: string;
  /** Labels along the x axis, or of a pie's slices; not for scatter. */
  categories?: string[];
  /** time: ISO dates or date-times, ascending, placed by their distance; for line, area, bar. */
  categoryType: "label" | "time";
  /** A pie has exactly one. */
  series: Series[];
  /** Of the categories, or of x; not for pie. */
  xAxis?: Axis;
  /** Of the values, also of a pie's. */
  yAxis?: Axis;
  /** Only for bar and area. */
  stacked: boolean;
  /** Bars from left to right, categories along the vertical axis; only for bar. */
  horizontal: boolean;
}

export interface Axis {
  label?: string;
  /** Like kg; with format currency its ISO 4217 code, like EUR. */
  unit?: string;
  /** How numbers are written; compact: 1.2M; percent: 25 is 25 %. */
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
  /** One for each category, null for a gap; not for scatter. */
  values?: (number | null)[];
  /** Only for scatter. */
  points?: Point[];
  color?: string;
}

export interface Code {
  /** Like python or typescript; text where none fits. */
  language: string;
  code: string;
  /** The code before a change, whose first line has the same number: shown as a diff to `code`. */
  before?: string;
  title?: string;
  filename?: string;
  /** Number of the first line. */
  startLine: number;
  /** Line numbers of code, counted from startLine. */
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
  /** Where the media stands: above the text, or beside it. */
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

/** Opens a page or a mail. */
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

/** Hands a named action to the application. */
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
