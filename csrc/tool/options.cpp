#include "tool/options.h"

#include <cfloat>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <string_view>
#include <type_traits>

#include "io/number.h"
#include "tool/source.h"

namespace sanderling::tool {
namespace {

bool fail(Error* error, const char* format, ...) __attribute__((format(printf, 2, 3)));
bool fail(Error* error, const char* format, ...) {
  error->status = Status::argument;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return false;
}

bool parse_positive(const char* name, const char* value, float* number, Error* error) {
  double parsed = 0.0;
  if (parse_number(value, &parsed) == Cell::number) {
    // Beyond float32's range is no number for the core either; to_float32 would clamp it.
    *number = to_float32(parsed);
    if (std::fabs(parsed) <= static_cast<double>(FLT_MAX) && *number > 0.0f) return true;
  }
  return fail(error, "%s: expected a number above 0, found '%.80s'; see --help", name, value);
}

bool parse_frame_ms(const char* value, float* number, Error* error) {
  double parsed = 0.0;
  if (parse_number(value, &parsed) == Cell::number && parsed >= 0.0 && parsed <= static_cast<double>(FLT_MAX))
    return *number = to_float32(parsed), true;
  return fail(error, "--frame-ms: expected a number of milliseconds, or 0 for no frames, found '%.80s'; see --help", value);
}

bool parse_names(const char* value, std::vector<std::string>* names, Error* error) {
  std::string_view rest = value;
  for (;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view name = trim(rest.substr(0, comma));
    if (name.empty()) return fail(error, "--columns: expected names like a,b, found '%.80s'; see --help", value);
    names->emplace_back(name);
    if (comma == std::string_view::npos) return true;
    rest.remove_prefix(comma + 1);
  }
}

bool set_scaling(Options* o, const char* value, Error* error) {
  const std::string_view name = value;
  o->calibration.standard_scaling = name == "standard";
  if (name == "standard" || name == "robust") return true;
  return fail(error, "--scaling: expected robust or standard, found '%.80s'; choose one", value);
}

bool parse_threads(const char* value, std::size_t* threads, Error* error) {
  float number = 0.0f;
  if (!parse_positive("--threads", value, &number, error)) return false;
  *threads = static_cast<std::size_t>(std::min(number, 1024.0f));
  if (static_cast<float>(*threads) == number) return true;
  return fail(error, "--threads: expected a whole number from 1 to 1024, found '%.80s'; give one", value);
}

// A number of `least` to `most` for the live options; whole: no fraction.
bool parse_range(const char* name, const char* value, double least, double most, bool whole, double* number, Error* error) {
  if (parse_number(value, number) == Cell::number && *number >= least && *number <= most && (!whole || *number == std::floor(*number)))
    return true;
  return fail(error, "%s: expected a %snumber from %g to %.10g, found '%.80s'; see --help", name, whole ? "whole " : "", least, most, value);
}

template <typename Number>
bool set_live(const char* name, const char* value, double least, double most, Number* number, Error* error) {
  double parsed = 0.0;
  if (!parse_range(name, value, least, most, std::is_integral_v<Number>, &parsed, error)) return false;
  return *number = static_cast<Number>(parsed), true;
}

bool set_action(Options* o, Action action, Error* error) {
  if (o->action != Action::score && o->action != action)
    return fail(error, "expected one of --calibrate, --selftest, --list-isa, --version and --help, found two; drop one");
  o->action = action;
  return true;
}

struct Rule {
  const char* name;
  bool takes_value;
  bool (*set)(Options* o, const char* value, Error* error);
};

constexpr Rule kRules[] = {
    {"--calibrate", true, [](Options* o, const char* v, Error* e) { return o->reference = v, set_action(o, Action::calibrate, e); }},
    {"--columns", true, [](Options* o, const char* v, Error* e) { return parse_names(v, &o->csv.columns, e); }},
    {"--dynamic", false, [](Options* o, const char*, Error*) { return o->calibration.dynamic = true; }},
    {"--false-alarms", true,
     [](Options* o, const char* v, Error* e) { return parse_positive("--false-alarms", v, &o->calibration.false_alarms, e); }},
    {"--frame-ms", true, [](Options* o, const char* v, Error* e) { return parse_frame_ms(v, &o->calibration.frame_ms, e); }},
    {"--help", false, [](Options* o, const char*, Error* e) { return set_action(o, Action::help, e); }},
    {"-h", false, [](Options* o, const char*, Error* e) { return set_action(o, Action::help, e); }},
    {"--input", true, [](Options* o, const char* v, Error*) { return o->input = v, true; }},
    {"--isa", true, [](Options* o, const char* v, Error*) { return o->isa = v, true; }},
    {"--label", true, [](Options* o, const char* v, Error*) { return o->csv.label = v, true; }},
    {"--list-isa", false, [](Options* o, const char*, Error* e) { return set_action(o, Action::list_isa, e); }},
    {"--live", false, [](Options* o, const char*, Error*) { return o->live.on = true; }},
    {"--metrics-file", true, [](Options* o, const char* v, Error*) { return o->live.metrics = v, true; }},
    {"-o", true, [](Options* o, const char* v, Error*) { return o->output = v, true; }},
    {"--on-alarm", true, [](Options* o, const char* v, Error*) { return o->live.on_alarm = v, true; }},
    {"--output", true, [](Options* o, const char* v, Error*) { return o->output = v, true; }},
    {"--period", true,
     [](Options* o, const char* v, Error* e) {
       return o->period_given = true, parse_positive("--period", v, &o->calibration.period_s, e);
     }},
    {"--record", true, [](Options* o, const char* v, Error*) { return o->live.record = v, true; }},
    {"--retry", true, [](Options* o, const char* v, Error* e) { return set_live("--retry", v, 0.001, 3600, &o->live.retry_s, e); }},
    {"--samples", true, [](Options* o, const char* v, Error* e) { return set_live("--samples", v, 1, 1e15, &o->live.samples, e); }},
    {"--scaling", true, set_scaling},
    {"--scores", false, [](Options* o, const char*, Error*) { return o->scores = true; }},
    {"--scores-bin", true, [](Options* o, const char* v, Error*) { return o->scores_bin = v, true; }},
    {"--selftest", false, [](Options* o, const char*, Error* e) { return set_action(o, Action::selftest, e); }},
    {"--spool", true, [](Options* o, const char* v, Error*) { return o->live.spool = v, true; }},
    {"--spool-bytes", true,
     [](Options* o, const char* v, Error* e) { return set_live("--spool-bytes", v, 4096, 1e12, &o->live.spool_bytes, e); }},
    {"--stall", true, [](Options* o, const char* v, Error* e) { return set_live("--stall", v, 0, 1e6, &o->live.stall_s, e); }},
    {"--threads", true, [](Options* o, const char* v, Error* e) { return parse_threads(v, &o->calibration.threads, e); }},
    {"--time", true, [](Options* o, const char* v, Error*) { return o->csv.time = v, true; }},
    {"--version", false, [](Options* o, const char*, Error* e) { return set_action(o, Action::version, e); }},
};

const Rule* find_rule(std::string_view name) {
  for (const Rule& rule : kRules)
    if (name == rule.name) return &rule;
  return nullptr;
}

bool check(const Options& o, Error* error) {
  if (o.action == Action::help || o.action == Action::version || o.action == Action::list_isa) return true;
  if (o.model.empty() && o.action != Action::selftest)
    return fail(error, "expected a model file, found none; run sanderling-run model.gguf < samples.csv or see --help");
  if (o.action == Action::calibrate && o.output.empty())
    return fail(error, "--calibrate: expected -o OUT.gguf, found none; say where the calibrated file goes");
  if (o.action == Action::calibrate && (o.input != "-" || o.scores || !o.scores_bin.empty() || o.calibration.dynamic))
    return fail(error, "--calibrate: expected no --input, --scores, --scores-bin or --dynamic, found one; calibrate first, then score");
  if (o.action != Action::calibrate && !o.output.empty())
    return fail(error, "expected -o with --calibrate only, found it alone; add --calibrate NORMAL.csv or drop -o");
  const LiveOptions& live = o.live;
  const bool wants_live = live.samples > 0 || !live.record.empty() || !live.spool.empty() || !live.on_alarm.empty() || !live.metrics.empty();
  if (wants_live && !live.on)
    return fail(error, "expected --live with --samples, --record, --spool, --on-alarm and --metrics-file, found none; add --live");
  if (live.on && o.action != Action::score)
    return fail(error, "--live: expected scoring alone, found another action; drop one");
  if (!live.on_alarm.empty() && live.spool.empty())
    return fail(error, "--on-alarm: expected --spool DIR, found none; say where alarms wait until they are delivered");
  return true;
}

}  // namespace

bool parse_options(int argc, char** argv, Options* options, Error* error) {
  bool only_paths = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!only_paths && argument == "--") {
      only_paths = true;
      continue;
    }
    if (only_paths || argument.substr(0, 1) != "-") {
      if (!options->model.empty())
        return fail(error, "expected one model file, found also '%.80s'; give samples on standard input or by --input",
                    argv[i]);
      if (argument.empty()) return fail(error, "expected a model file, found an empty name; give its path");
      options->model = argument;
      continue;
    }
    const std::size_t equals = argument.substr(0, 2) == "--" ? argument.find('=') : std::string_view::npos;
    const Rule* rule = find_rule(argument.substr(0, equals));
    if (!rule) return fail(error, "expected an option, found '%.80s'; see --help", argv[i]);
    const char* value = equals == std::string_view::npos ? nullptr : argv[i] + equals + 1;
    if (value && !rule->takes_value) return fail(error, "%s: expected no value, found '%.80s'; drop it", rule->name, value);
    if (!value && rule->takes_value) {
      if (i + 1 >= argc) return fail(error, "%s: expected a value, found none; see --help", rule->name);
      value = argv[++i];
    }
    if (rule->takes_value && !*value) return fail(error, "%s: expected a value, found an empty one; see --help", rule->name);
    if (!rule->set(options, value, error)) return false;
  }
  options->live.on |= !source_kind(options->input).empty();
  options->csv.live = options->live.on;
  return check(*options, error);
}

const char kHelp[] =
    "sanderling-run: time-series anomaly detection on the device\n"
    "\n"
    "  sanderling-run [options] model.gguf < samples.csv         score; alarms as JSON lines\n"
    "  sanderling-run --input serial:/dev/ttyUSB0 [options] model.gguf   score live; events too (docs/live.md)\n"
    "  sanderling-run --calibrate NORMAL.csv -o OUT.gguf [options] model.gguf\n"
    "  sanderling-run --selftest [model.gguf]\n"
    "  sanderling-run --list-isa | --version | --help\n"
    "  sanderling-run text [--input FILE] [--score] [--alarms] [--max-tokens N] [--isa NAME] detector.gguf < log\n"
    "      a line is a text; scores by a file of `sanderling text export`, --alarms: a line for those that alarm only\n"
    "  sanderling-run text [--input FILE] [--tokens] [--embeddings FILE] [--max-tokens N] [--isa NAME] encoder.gguf < log\n"
    "      a line is a text; --tokens: its ids, --embeddings: raw little-endian float32 rows\n"
    "  sanderling-run bundle verify FILE --key PUB | bundle inspect FILE\n"
    "  sanderling-run slot install FILE | next | confirm | rollback | status | history --state FOLDER\n"
    "      (install: --key PUB --keys FOLDER --trials N --confirmed --force --board ID; docs/slots.md)\n"
    "\n"
    "score\n"
    "  --input FILE       CSV from FILE (default: standard input, also for -)\n"
    "  --scores           a line a sample: i, t (seconds, with a time column), score (null: NaN), alarm\n"
    "  --scores-bin FILE  the scores as raw little-endian float32\n"
    "  --dynamic          patches that a cheap look finds ordinary skip the network: less work, nearly the same scores\n"
    "  --threads N        at most N, and no more than there are processors, share the work (default 1); the same scores\n"
    "  Without --scores, a line for each run of samples above the threshold, when the run ends: alarm (number), start\n"
    "  and end (first and last sample), t_start and t_end, peak (highest score), channel (highest there).\n"
    "  The last line is the summary. A model that isn't calibrated learns from the first 512 samples (score 0).\n"
    "live (input that goes on: lines that can't be read are counted, a device that vanishes is opened again)\n"
    "  --input SOURCE     serial:DEVICE[,baud=115200][,first=keep] or\n"
    "                     iio:NAME[,rate=HZ][,mode=buffer][,channels=A+B][,trigger=NAME]; or a file, pipe or - with --live\n"
    "  --stall S          no sample for S seconds is an event (default 10; 0: never)\n"
    "  --retry S          the first delay before trying again; doubles up to 64 times as much (default 0.5)\n"
    "  --samples N        end after N samples\n"
    "  --record FILE      the samples as CSV: what --calibrate wants\n"
    "  --spool DIR        alarms wait there, safe from a power cut, until they are delivered; --spool-bytes N (default 4194304)\n"
    "  --on-alarm COMMAND delivers one: its standard input is the alarm's JSON line, exit status 0 says that it has arrived\n"
    "  --metrics-file F   Prometheus' text format, every 15 s, for the textfile collector\n"
    "calibrate (NORMAL.csv: a recording of normal behaviour, at least 256 samples; - for standard input)\n"
    "  -o, --output FILE  the calibrated model\n"
    "  --scaling NAME     robust (default) or standard\n"
    "also for a model that isn't calibrated\n"
    "  --false-alarms R   wanted false alarms a day, or per 10,000 samples if the period is unknown (default 1)\n"
    "  --period S         seconds a sample (default: calibrate takes the median step of the time column)\n"
    "  --frame-ms MS      frames of a high-rate signal; 0: none (default: by the period, frames above 1 kHz)\n"
    "CSV: comma, semicolon or tab; header optional; empty, nan, na, null and none are missing values\n"
    "  --time NAME        the time column (default: time, timestamp, datetime, date, ts or t)\n"
    "  --columns A,B      the channels (default: every column but time and label)\n"
    "  --label NAME       a column that is no channel\n"
    "all\n"
    "  --isa NAME         force an instruction set of --list-isa (also SANDERLING_ISA)\n"
    "SIGINT and SIGTERM end the input; the summary is still written. Live, SIGHUP opens the input again.\n"
    "Exit status: 0 done, 1 a failed selftest or a fault of ours, 2 something to put right (request, data, rights, space)\n";

}  // namespace sanderling::tool
