// The runner on a source that doesn't end: it waits without spinning, tries again what went away, and says what happens (docs/live.md).

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tool/courier.h"
#include "tool/live_scorer.h"
#include "tool/metrics.h"
#include "tool/notify.h"
#include "tool/source.h"
#include "tool/tool.h"

namespace sanderling::tool {
namespace {

constexpr double kSecond = 1e9;
constexpr std::int64_t kMetricsEvery = 15'000'000'000;
constexpr std::int64_t kDrain = 5'000'000'000;  // for alarms that are still to be delivered at the end

class Live {
 public:
  explicit Live(const Options& options)
      : options_(options),
        scorer_(options_, &spool_),
        backoff_(options.live.retry_s),
        courier_(options.live.on_alarm, options.live.retry_s, &spool_) {}
  bool open(Error* error);
  bool run(Error* error);
  bool finish(Error* error);
  bool broken() const { return scorer_.broken(); }

 private:
  void connect();
  void lose(const std::string& why);
  bool read(Error* error);
  bool feed(const std::string& text, Error* error);
  void check_stall();
  void deliver();
  void tell_health();
  bool write_metrics(Error* error);
  void keep_metrics();
  std::int64_t timeout() const;

  Options options_;  // ours: the model decides the number of channels
  Spool spool_;
  LiveScorer scorer_;
  std::unique_ptr<Source> source_;
  CsvRows rows_;
  Backoff backoff_;
  Courier courier_;
  std::string health_;
  bool connected_ = false, told_lost_ = false, stalled_ = false, ended_ = false, failed_ = false, metrics_failed_ = false;
  std::int64_t now_ = 0, reopen_at_ = 0, heard_at_ = 0, metrics_at_ = 0, watchdog_at_ = 0, watchdog_ns_ = 0;
  std::uint64_t connections_ = 0, stalls_ = 0;
};

bool Live::open(Error* error) {
  const LiveOptions& live = options_.live;
  if (!scorer_.open(error)) return false;
  source_ = make_source(options_.input, error);
  if (!source_ || !scorer_.create_outputs(error) || !scorer_.create_record(error)) return false;
  if (!live.spool.empty() && !spool_.open(live.spool, live.spool_bytes, error)) return false;
  scorer_.reader().expect(scorer_.wanted_channels());
  if (spool_.is_open() && spool_.pending() + spool_.damaged() > 0)
    scorer_.event("spool").count("pending", spool_.pending()).count("damaged", spool_.damaged()), scorer_.say();
  watchdog_ns_ = static_cast<std::int64_t>(watchdog_interval()) * 1000;
  now_ = heard_at_ = monotonic_ns();
  keep_metrics();
  return scorer_.out().flush(error);
}

void Live::connect() {
  std::string why;
  if (!source_->open(&why)) return lose(why);
  connected_ = true;
  ++connections_;
  if (told_lost_) scorer_.event("connected").text("source", options_.input).count("attempts", backoff_.failures()), scorer_.say();
  told_lost_ = false;
}

void Live::lose(const std::string& why) {
  source_->close();
  if (connected_) scorer_.reader().cut();
  connected_ = false;
  failed_ = !source_->returns();
  if (!told_lost_) scorer_.event("lost").text("source", options_.input).text("why", why.empty() ? "ended" : why), scorer_.say();
  told_lost_ = true;
  reopen_at_ = now_ + backoff_.next_ns();
}

bool Live::read(Error* error) {
  std::string text, why;
  const Source::Got got = source_->read(&text, &why);
  if (!text.empty() && !feed(text, error)) return false;
  if (got == Source::Got::lost) lose(why);
  if (got != Source::Got::end) return true;
  ended_ = true;
  return scorer_.reader().finish(&rows_, error) && scorer_.take_live(&rows_, error);
}

bool Live::feed(const std::string& text, Error* error) {
  if (!scorer_.reader().feed(text.data(), text.size(), &rows_, error)) return false;
  if (rows_.rows > 0) {
    const double silent = std::round(static_cast<double>(now_ - heard_at_) / 1e6) / 1e3;
    if (stalled_) scorer_.event("resumed").count("sample", scorer_.samples()).real("seconds", silent), scorer_.say();
    stalled_ = false;
    heard_at_ = now_;
    backoff_.reset();
  }
  if (!scorer_.take_live(&rows_, error)) return false;
  scorer_.tell_rejected();
  ended_ = options_.live.samples > 0 && scorer_.samples() >= options_.live.samples;
  return true;
}

void Live::check_stall() {
  const double silent = static_cast<double>(now_ - heard_at_) / kSecond;
  if (stalled_ || options_.live.stall_s == 0.0 || silent < options_.live.stall_s) return;
  stalled_ = true;
  ++stalls_;
  scorer_.event("stall").count("samples", scorer_.samples()).real("seconds", options_.live.stall_s), scorer_.say();
}

void Live::deliver() {
  std::string why;
  if (!options_.live.on_alarm.empty() && courier_.step(now_, &why))
    scorer_.event("undelivered").count("pending", spool_.pending()).text("why", why), scorer_.say();
}

void Live::tell_health() {
  const std::string health = !connected_ ? "lost" : stalled_ ? "stalled" : scorer_.missing() ? "missing values" : "ok";
  if (health == health_) return;
  health_ = health;
  notify(("STATUS=" + health + " (" + options_.input + ")").c_str());
}

bool Live::write_metrics(Error* error) {
  metrics_at_ = now_ + kMetricsEvery;
  const auto number = [](auto value) { return static_cast<double>(value); };
  const double figures[] = {
      number(scorer_.samples()),     number(scorer_.alarm_count()), number(scorer_.alarming()), number(scorer_.score()),
      number(scorer_.score_threshold()), number(scorer_.reader().rejected()), number(scorer_.missing_samples()), number(connected_),
      number(stalled_),              number(connections_),          number(stalls_),            number(spool_.pending()),
      number(spool_.dropped() + scorer_.unspooled()), number(courier_.delivered()), number(courier_.failed()),
  };
  return write_metrics_file(options_.live.metrics, figures, sizeof figures / sizeof *figures, error);
}

// A full disk must not end the detector.
void Live::keep_metrics() {
  if (options_.live.metrics.empty()) return;
  Error error;
  const bool written = write_metrics(&error);
  if (!written && !metrics_failed_) scorer_.event("metrics_error").text("why", error.message), scorer_.say();
  metrics_failed_ = !written;
}

std::int64_t Live::timeout() const {
  std::int64_t first = -1;
  const auto at = [&](bool wanted, std::int64_t when) {
    if (wanted && (first < 0 || when < first)) first = std::max<std::int64_t>(when, 0);
  };
  at(!connected_, reopen_at_);
  at(!stalled_ && options_.live.stall_s > 0.0, heard_at_ + static_cast<std::int64_t>(options_.live.stall_s * kSecond));
  at(!options_.live.metrics.empty(), metrics_at_);
  at(watchdog_ns_ > 0, watchdog_at_);
  at(!options_.live.on_alarm.empty() && courier_.due() >= 0, courier_.due());
  return first < 0 ? -1 : std::max<std::int64_t>(first - now_, 0);
}

bool Live::run(Error* error) {
  while (!ended_ && !stop_requested()) {
    now_ = monotonic_ns();
    if (take_hangup()) {
      if (connected_ && source_->returns()) source_->close(), scorer_.reader().cut(), connected_ = false;
      reopen_at_ = metrics_at_ = now_;
    }
    if (!connected_ && now_ >= reopen_at_) connect();
    if (failed_) {
      error->status = Status::io;
      std::snprintf(error->message, sizeof error->message, "input: expected to read samples, found an error; check the redirection");
      return false;
    }
    check_stall();
    deliver();
    if (watchdog_ns_ > 0 && now_ >= watchdog_at_) notify("WATCHDOG=1"), watchdog_at_ = now_ + watchdog_ns_;
    if (now_ >= metrics_at_) keep_metrics();
    tell_health();
    if (!scorer_.out().flush(error)) return false;
    pollfd input = {connected_ ? source_->fd() : -1, POLLIN, 0};
    wait_ready(&input, 1, timeout());
    now_ = monotonic_ns();
    if (input.revents != 0 && !read(error)) return false;
  }
  return true;
}

bool Live::finish(Error* error) {
  // A stop leaves the last patch as it is: it may be the half of one. An end completes it.
  if (ended_ && !scorer_.flush(error)) return false;
  scorer_.end_alarm();
  scorer_.tell_rejected();
  const std::int64_t deadline = monotonic_ns() + kDrain;
  for (now_ = monotonic_ns(); !options_.live.on_alarm.empty() && now_ < deadline; now_ = monotonic_ns()) {
    deliver();
    if (!courier_.busy()) break;
    wait_ready(nullptr, 0, deadline - now_);
  }
  keep_metrics();
  return scorer_.close_record(error) && scorer_.summarise(error);
}

}  // namespace

int run_live(const Options& options) {
  install_live_signals();
  Error error;
  Live live(options);
  bool good = live.open(&error);
  if (good) notify("READY=1");
  good = good && live.run(&error) && live.finish(&error);
  notify("STOPPING=1");
  return good || live.broken() ? 0 : report(error);
}

}  // namespace sanderling::tool
