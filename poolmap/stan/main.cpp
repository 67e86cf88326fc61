/* poolmap's main program for a compiled Stan model.
 *
 * Linked with the object file of one Stan program (stanc defines `new_model` in it) this makes an executable
 * that speaks CmdStan's command line and CSV format as far as cmdstanpy 1.3 uses them, so that Stan runs from
 * the headers and libraries of a PyPI wheel, without CmdStan. It holds no inference of its own: it reads the
 * command line, opens the files and calls Stan's services (stan/services/...).
 *
 * Sources: the CmdStan User's Guide (command line, CSV format), Stan's service headers, and what cmdstanpy
 * sends and parses. Same Stan version, flags and seed: the same draws as CmdStan.
 */
#include <stan/callbacks/interrupt.hpp>
#include <stan/callbacks/logger.hpp>
#include <stan/callbacks/structured_writer.hpp>
#include <stan/callbacks/unique_stream_writer.hpp>
#include <stan/callbacks/writer.hpp>
#include <stan/io/array_var_context.hpp>
#include <stan/io/empty_var_context.hpp>
#include <stan/io/json/json_data.hpp>
#include <stan/math/prim/core/init_threadpool_tbb.hpp>
#include <stan/model/log_prob_grad.hpp>
#include <stan/model/model_base.hpp>
#include <stan/services/optimize/laplace_sample.hpp>
#include <stan/services/optimize/lbfgs.hpp>
#include <stan/services/pathfinder/multi.hpp>
#include <stan/services/sample/fixed_param.hpp>
#include <stan/services/sample/hmc_nuts_dense_e.hpp>
#include <stan/services/sample/hmc_nuts_dense_e_adapt.hpp>
#include <stan/services/sample/hmc_nuts_diag_e.hpp>
#include <stan/services/sample/hmc_nuts_diag_e_adapt.hpp>
#include <stan/services/sample/standalone_gqs.hpp>
#include <stan/version.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

stan::model::model_base& new_model(stan::io::var_context& data, unsigned int seed, std::ostream* messages);

namespace poolmap {

using Model = stan::model::model_base;
using Context = std::shared_ptr<stan::io::var_context>;
using Csv = stan::callbacks::unique_stream_writer<std::ofstream>;
using NoWriter = stan::callbacks::writer;
using NoRecord = stan::callbacks::structured_writer;

/// Ends the run with a message for the user.
[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument(why); }

// ---- settings: what can be said on the command line -----------------------------------------------------

/* Every setting with its default, laid out as CmdStan writes them at the head of a CSV file.
 * A line is `kind name [default [least]]`; `text` may lack a default. The children of a `choice` are its
 * alternatives; those of a `group` are settings that may follow its name on the command line. */
constexpr const char* kSettings = R"(
choice method sample
  group sample
    integer num_samples 1000 0
    integer num_warmup 1000 0
    flag save_warmup false
    integer thin 1 1
    group adapt
      flag engaged true
      real gamma 0.05 0
      real delta 0.8 0
      real kappa 0.75 0
      real t0 10 0
      integer init_buffer 75 0
      integer term_buffer 50 0
      integer window 25 0
    choice algorithm hmc
      group hmc
        choice engine nuts
          group nuts
            integer max_depth 10 1
        choice metric diag_e
          group diag_e
          group dense_e
        text metric_file
        real stepsize 1 0
        real stepsize_jitter 0 0
      group fixed_param
    integer num_chains 1 1
  group optimize
    choice algorithm lbfgs
      group lbfgs
        real init_alpha 0.001 0
        real tol_obj 1e-12 0
        real tol_rel_obj 10000 0
        real tol_grad 1e-08 0
        real tol_rel_grad 1e+07 0
        real tol_param 1e-08 0
        integer history_size 5 1
    flag jacobian false
    integer iter 2000 1
    flag save_iterations false
  group pathfinder
    real init_alpha 0.001 0
    real tol_obj 1e-12 0
    real tol_rel_obj 10000 0
    real tol_grad 1e-08 0
    real tol_rel_grad 1e+07 0
    real tol_param 1e-08 0
    integer history_size 5 1
    integer num_psis_draws 1000 1
    integer num_paths 4 1
    flag psis_resample true
    flag calculate_lp true
    integer max_lbfgs_iters 1000 1
    integer num_draws 1000 1
    integer num_elbo_draws 25 1
  group laplace
    text mode
    flag jacobian true
    integer draws 1000 1
    flag calculate_lp true
  group generate_quantities
    text fitted_params
  group log_prob
    text constrained_params
    flag jacobian true
integer id 1 0
group data
  text file
text init 2
group random
  integer seed -1 -1
group output
  text file output.csv
  integer refresh 100 0
  integer sig_figs -1 -1
)";

/// One node of the settings; `value` has no meaning for a group.
struct Setting {
  std::string kind, name, value, fallback;
  double least = -std::numeric_limits<double>::infinity();
  std::vector<Setting> parts;

  Setting* find(const std::string& key) {
    const auto hit = std::find_if(parts.begin(), parts.end(), [&](auto& part) { return part.name == key; });
    return hit == parts.end() ? nullptr : &*hit;
  }
  /// The node at a dotted path below this one.
  const Setting& at(const std::string& path) const {
    const auto dot = path.find('.');
    for (const auto& part : parts)
      if (part.name == path.substr(0, dot))
        return dot == std::string::npos ? part : part.at(path.substr(dot + 1));
    throw std::logic_error("no setting " + path + " under " + name);
  }
  const Setting& chosen() const { return at(value); }
  const std::string& text(const std::string& path) const { return at(path).value; }
  double real(const std::string& path) const { return std::stod(text(path)); }
  int integer(const std::string& path) const { return static_cast<int>(std::stol(text(path))); }
  bool flag(const std::string& path) const { return text(path) == "true"; }

  /// Takes a value from the command line; refuses one of the wrong kind or below the least.
  void assign(const std::string& given) {
    bool valid = true;
    value = given;
    if (kind == "choice") {
      valid = find(given) != nullptr;
    } else if (kind == "flag") {
      valid = given == "0" || given == "1" || given == "false" || given == "true";
      value = given == "1" || given == "true" ? "true" : "false";
    } else if (kind == "integer" || kind == "real") {
      try {
        std::size_t used = 0;
        const double number = kind == "real" ? std::stod(given, &used) : std::stoll(given, &used);
        valid = used == given.size() && number >= least;
      } catch (const std::logic_error&) {
        valid = false;
      }
    }
    if (!valid)
      refuse("\"" + given + "\" is not a valid value for \"" + name + "\"");
  }
};

/// Reads kSettings.
Setting default_settings() {
  Setting root;
  std::vector<Setting*> open{&root};
  std::istringstream lines(kSettings);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty())
      continue;
    const auto depth = line.find_first_not_of(' ') / 2;
    std::istringstream words(line);
    Setting setting;
    std::string least;
    words >> setting.kind >> setting.name >> setting.fallback >> least;
    setting.value = setting.fallback;
    if (!least.empty())
      setting.least = std::stod(least);
    open.resize(depth + 1);
    open[depth]->parts.push_back(setting);
    open.push_back(&open[depth]->parts.back());
  }
  return root;
}

/* Sets what the command line says. Each word is looked up in the innermost open scope first, then outwards:
 * the name of a group opens it, `choice=alternative` opens the alternative, and the bare name of a method
 * stands for `method=name`. */
void read_command_line(Setting& root, const std::vector<std::string>& words) {
  std::vector<Setting*> scope{&root};
  for (const auto& word : words) {
    const auto equals = word.find('=');
    const std::string key = word.substr(0, equals);
    Setting* hit = nullptr;
    while (!(hit = scope.back()->find(key)) && scope.size() > 1)
      scope.pop_back();
    if (!hit && equals == std::string::npos && root.find("method")->find(key)) {
      hit = root.find("method");
      hit->assign(key);
    } else if (!hit || (hit->kind == "group") != (equals == std::string::npos)) {
      refuse("\"" + word + "\" is either mistyped or misplaced.");
    } else if (hit->kind != "group") {
      hit->assign(word.substr(equals + 1));
    }
    if (hit->kind == "choice")
      scope.push_back(hit->find(hit->value));
    else if (hit->kind == "group")
      scope.push_back(hit);
  }
}

/// Calls `line` with every setting in force, in CmdStan's layout.
template <typename Line>
void describe(const Setting& settings, const std::string& indent, const Line& line) {
  for (const auto& part : settings.parts) {
    if (part.kind == "group") {
      line(indent + part.name);
      describe(part, indent + "  ", line);
      continue;
    }
    line(indent + part.name + " = " + part.value + (part.value == part.fallback ? " (Default)" : ""));
    if (part.kind == "choice" && !part.chosen().parts.empty()) {
      line(indent + "  " + part.value);
      describe(part.chosen(), indent + "    ", line);
    }
  }
}

// ---- files ----------------------------------------------------------------------------------------------

/// "folder/name.json", "_2" -> "folder/name_2.json"
std::string with_tag(const std::string& path, const std::string& tag) {
  const auto slash = path.rfind('/');
  const auto dot = path.rfind('.');
  const bool extension = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  return extension ? path.substr(0, dot) + tag + path.substr(dot) : path + tag;
}

std::ifstream open_input(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    refuse("Can't open specified file, \"" + path + "\"");
  return in;
}

/// The variables in a JSON file; none where the path is empty.
Context read_variables(const std::string& path) {
  if (path.empty())
    return std::make_shared<stan::io::empty_var_context>();
  auto in = open_input(path);
  return std::make_shared<stan::json::json_data>(in);
}

/// The variables of each chain: x.json is one file for all, or stands for x_<id>.json where those exist.
std::vector<Context> read_variables_by_chain(const std::string& path, std::size_t chains, int first_id) {
  const auto of_chain = [&](std::size_t i) { return with_tag(path, "_" + std::to_string(first_id + i)); };
  if (path.empty() || chains == 1 || !std::ifstream(of_chain(0)))
    return std::vector<Context>(chains, read_variables(path));
  std::vector<Context> each;
  for (std::size_t i = 0; i < chains; ++i)
    each.push_back(read_variables(of_chain(i)));
  return each;
}

std::vector<std::string> split_cells(std::string line) {
  if (!line.empty() && line.back() == '\r')
    line.pop_back();
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');)
    cells.push_back(cell);
  return cells;
}

/// The columns of a Stan CSV file that hold the model's parameters: draws in rows, parameters in columns.
Eigen::MatrixXd read_draws(const std::string& path, const Model& model) {
  auto in = open_input(path);
  std::vector<std::string> names;
  model.constrained_param_names(names, false, false);
  std::vector<std::size_t> columns;
  std::vector<double> values;
  Eigen::Index rows = 0;
  bool in_header = true;
  for (std::string line; std::getline(in, line);) {
    const auto cells = split_cells(line);
    if (cells.empty() || cells[0][0] == '#')
      continue;
    if (in_header) {
      for (const auto& name : names) {
        const auto hit = std::find(cells.begin(), cells.end(), name);
        if (hit == cells.end())
          refuse("no column \"" + name + "\" in " + path);
        columns.push_back(hit - cells.begin());
      }
      in_header = false;
      continue;
    }
    for (const auto column : columns) {
      if (column >= cells.size())
        refuse("a draw in " + path + " is cut short");
      values.push_back(std::strtod(cells[column].c_str(), nullptr));
    }
    ++rows;
  }
  using ByRow = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<ByRow>(values.data(), rows, columns.size());
}

/// Writes whole lines at once, so that messages of parallel chains never interleave.
class Console final : public stan::callbacks::logger {
  std::mutex mutex_;
  void put(std::ostream& out, const std::string& message) {
    std::lock_guard<std::mutex> lock(mutex_);
    out << message + "\n" << std::flush;
  }

 public:
  void debug(const std::string& message) override { put(std::cout, message); }
  void debug(const std::stringstream& message) override { put(std::cout, message.str()); }
  void info(const std::string& message) override { put(std::cout, message); }
  void info(const std::stringstream& message) override { put(std::cout, message.str()); }
  void warn(const std::string& message) override { put(std::cout, message); }
  void warn(const std::stringstream& message) override { put(std::cout, message.str()); }
  void error(const std::string& message) override { put(std::cerr, message); }
  void error(const std::stringstream& message) override { put(std::cerr, message.str()); }
  void fatal(const std::string& message) override { put(std::cerr, message); }
  void fatal(const std::stringstream& message) override { put(std::cerr, message.str()); }
};

// ---- one run --------------------------------------------------------------------------------------------

class Run {
  Setting settings_ = default_settings();
  Console log_;
  stan::callbacks::interrupt interrupt_;
  std::unique_ptr<Model> model_;
  unsigned seed_ = 0;
  int id_ = 1, refresh_ = 100;
  double radius_ = 2;      // half the width of the uniform distribution of inits not given
  std::string init_file_;  // empty: no inits given

 public:
  int main(const std::vector<std::string>& words);

 private:
  const Setting& method() const { return settings_.at("method").chosen(); }
  void read_inits();
  template <typename Line>
  void write_preamble(const Line& line) const;
  Csv csv(const std::string& tag = "") const;
  int sample();
  int optimize();
  int pathfinder();
  int laplace();
  int generate_quantities();
  int log_prob();
};

/// `init=` is a radius or a file.
void Run::read_inits() {
  const std::string& init = settings_.text("init");
  char* end = nullptr;
  const double radius = std::strtod(init.c_str(), &end);
  if (!init.empty() && *end == '\0')
    radius_ = radius;
  else
    init_file_ = init;
}

/// The head of every output: versions, model and settings.
template <typename Line>
void Run::write_preamble(const Line& line) const {
  line("stan_version_major = " + stan::MAJOR_VERSION);
  line("stan_version_minor = " + stan::MINOR_VERSION);
  line("stan_version_patch = " + stan::PATCH_VERSION);
  line("model = " + model_->model_name());
  describe(settings_, "", line);
  for (const auto& fact : model_->model_compile_info())
    line(fact);
}

/// The output file (with a tag before its extension), its preamble written.
Csv Run::csv(const std::string& tag) const {
  const std::string path = with_tag(settings_.text("output.file"), tag);
  auto out = std::make_unique<std::ofstream>(path);
  if (!*out)
    refuse("Cannot write to output path \"" + path + "\"");
  if (const int figures = settings_.integer("output.sig_figs"); figures > 0)
    out->precision(figures);
  Csv writer(std::move(out), "# ");
  write_preamble([&](const std::string& line) { writer(line); });
  return writer;
}

int Run::sample() {
  namespace services = stan::services::sample;
  const auto& s = method();
  const std::size_t chains = s.integer("num_chains");
  const int samples = s.integer("num_samples"), warmup = s.integer("num_warmup"), thin = s.integer("thin");
  const bool save_warmup = s.flag("save_warmup"), adapt = s.flag("adapt.engaged");
  const auto inits = read_variables_by_chain(init_file_, chains, id_);
  std::vector<NoWriter> no_inits(chains), no_diagnostics(chains);
  std::vector<NoRecord> no_metrics(chains);
  std::vector<Csv> draws;
  for (std::size_t i = 0; i < chains; ++i)
    draws.push_back(csv(chains > 1 ? "_" + std::to_string(id_ + i) : ""));

  const std::size_t dimension = model_->num_params_r();
  const bool fixed = s.text("algorithm") == "fixed_param";
  if (dimension == 0 && !fixed)
    log_.info("Model contains no parameters, running fixed_param sampler, no updates to Markov chain");
  if (dimension == 0 || fixed)
    return services::fixed_param(*model_, chains, inits, seed_, id_, radius_, samples, thin, refresh_,
                                 interrupt_, log_, no_inits, draws, no_diagnostics);
  if (adapt && warmup == 0)
    refuse("The number of warmup samples (num_warmup) must be greater than zero if adaptation is enabled.");

  const auto& hmc = s.at("algorithm.hmc");
  const bool dense = hmc.text("metric") == "dense_e";
  const std::string& metric_file = hmc.text("metric_file");
  std::vector<Context> metrics;
  if (metric_file.empty())
    metrics.assign(chains, std::make_shared<stan::io::array_var_context>(
                               dense ? stan::services::util::create_unit_e_dense_inv_metric(dimension)
                                     : stan::services::util::create_unit_e_diag_inv_metric(dimension)));
  else
    metrics = read_variables_by_chain(metric_file, chains, id_);

  const auto run = [&](auto with_adaptation, auto without) {
    const double step = hmc.real("stepsize"), jitter = hmc.real("stepsize_jitter");
    const int depth = hmc.integer("engine.nuts.max_depth");
    if (!adapt)
      return without(*model_, chains, inits, metrics, seed_, id_, radius_, warmup, samples, thin, save_warmup,
                     refresh_, step, jitter, depth, interrupt_, log_, no_inits, draws, no_diagnostics);
    const auto& a = s.at("adapt");
    return with_adaptation(*model_, chains, inits, metrics, seed_, id_, radius_, warmup, samples, thin,
                           save_warmup, refresh_, step, jitter, depth, a.real("delta"), a.real("gamma"),
                           a.real("kappa"), a.real("t0"), a.integer("init_buffer"), a.integer("term_buffer"),
                           a.integer("window"), interrupt_, log_, no_inits, draws, no_diagnostics, no_metrics);
  };
  // a set of overloads cannot be an argument: each is wrapped in a function object
  if (dense)
    return run([](auto&&... given) { return services::hmc_nuts_dense_e_adapt(given...); },
               [](auto&&... given) { return services::hmc_nuts_dense_e(given...); });
  return run([](auto&&... given) { return services::hmc_nuts_diag_e_adapt(given...); },
             [](auto&&... given) { return services::hmc_nuts_diag_e(given...); });
}

int Run::optimize() {
  namespace services = stan::services::optimize;
  const auto& s = method();
  const auto& a = s.at("algorithm").chosen();
  const auto inits = read_variables(init_file_);
  NoWriter no_inits;
  auto estimate = csv();
  const auto minimise = s.flag("jacobian") ? services::lbfgs<Model, true> : services::lbfgs<Model, false>;
  return minimise(*model_, *inits, seed_, id_, radius_, a.integer("history_size"), a.real("init_alpha"),
                  a.real("tol_obj"), a.real("tol_rel_obj"), a.real("tol_grad"), a.real("tol_rel_grad"),
                  a.real("tol_param"), s.integer("iter"), s.flag("save_iterations"), refresh_, interrupt_, log_,
                  no_inits, estimate);
}

int Run::pathfinder() {
  const auto& s = method();
  const int paths = s.integer("num_paths");
  // one path is the multi-path service without resampling: the same draws, and half the time to compile
  const bool resample = s.flag("psis_resample") && paths > 1;
  const auto inits = read_variables_by_chain(init_file_, paths, id_);
  auto draws = csv();
  std::vector<NoWriter> no_inits(paths), no_path_draws(paths);
  std::vector<NoRecord> no_path_records(paths);
  NoRecord no_record;
  return stan::services::pathfinder::pathfinder_lbfgs_multi(
      *model_, inits, seed_, id_, radius_, s.integer("history_size"), s.real("init_alpha"), s.real("tol_obj"),
      s.real("tol_rel_obj"), s.real("tol_grad"), s.real("tol_rel_grad"), s.real("tol_param"),
      s.integer("max_lbfgs_iters"), s.integer("num_elbo_draws"), s.integer("num_draws"),
      s.integer("num_psis_draws"), paths, false, refresh_, interrupt_, log_, no_inits, no_path_draws,
      no_path_records, draws, no_record, s.flag("calculate_lp"), resample);
}

/// `mode=` is the CSV file of an optimisation; its last row is the mode.
int Run::laplace() {
  const auto& s = method();
  const auto rows = read_draws(s.text("mode"), *model_);
  if (rows.rows() == 0)
    refuse("no estimate in " + s.text("mode"));
  const Eigen::VectorXd constrained = rows.row(rows.rows() - 1);
  Eigen::VectorXd mode;
  model_->unconstrain_array(constrained, mode, nullptr);
  auto draws = csv();
  NoRecord no_hessian;
  const auto run = [&](auto jacobian) {
    return stan::services::laplace_sample<jacobian()>(*model_, mode, s.integer("draws"), s.flag("calculate_lp"),
                                                      seed_, refresh_, interrupt_, log_, draws, no_hessian);
  };
  return s.flag("jacobian") ? run(std::true_type()) : run(std::false_type());
}

int Run::generate_quantities() {
  const auto draws = read_draws(method().text("fitted_params"), *model_);
  auto quantities = csv();
  return stan::services::standalone_generate(*model_, draws, seed_, interrupt_, log_, quantities);
}

int Run::log_prob() {
  const auto& s = method();
  Eigen::VectorXd theta;
  model_->transform_inits(*read_variables(s.text("constrained_params")), theta, nullptr);
  std::vector<std::string> parameters, names{"lp__"};
  model_->unconstrained_param_names(parameters, false, false);
  for (const auto& name : parameters)
    names.push_back("g_" + name);
  Eigen::VectorXd gradient;
  const double lp = s.flag("jacobian") ? stan::model::log_prob_grad<true, true>(*model_, theta, gradient)
                                       : stan::model::log_prob_grad<true, false>(*model_, theta, gradient);
  std::vector<double> row{lp};
  row.insert(row.end(), gradient.data(), gradient.data() + gradient.size());
  auto out = csv();
  out(names);
  out(row);
  return 0;
}

/// What `info` prints: cmdstanpy reads the Stan version and whether the program was built with threads.
void print_info() {
#ifdef STAN_THREADS
  const char* threads = "true";
#else
  const char* threads = "false";
#endif
  std::cout << "stan_version_major = " << stan::MAJOR_VERSION << "\nstan_version_minor = " << stan::MINOR_VERSION
            << "\nstan_version_patch = " << stan::PATCH_VERSION << "\nSTAN_THREADS = " << threads
            << "\nSTAN_MPI = false\nSTAN_OPENCL = false\nSTAN_NO_RANGE_CHECKS = false\nSTAN_CPP_OPTIMS = false\n";
}

int Run::main(const std::vector<std::string>& words) {
  if (words == std::vector<std::string>{"info"}) {
    print_info();
    return 0;
  }
  read_command_line(settings_, words);
  refresh_ = settings_.integer("output.refresh");
  id_ = settings_.integer("id");
  Setting& seed = *settings_.find("random")->find("seed");
  if (seed.value == seed.fallback)
    seed.value = std::to_string(std::random_device{}());
  seed_ = static_cast<unsigned>(std::stoul(seed.value));
  read_inits();
  stan::math::init_threadpool_tbb();

  model_.reset(&new_model(*read_variables(settings_.text("data.file")), seed_, &std::cout));
  write_preamble([&](const std::string& line) { log_.info(line); });
  log_.info("");
  const std::string& name = settings_.text("method");
  return name == "sample"                ? sample()
         : name == "optimize"            ? optimize()
         : name == "pathfinder"          ? pathfinder()
         : name == "laplace"             ? laplace()
         : name == "generate_quantities" ? generate_quantities()
                                         : log_prob();
}

}  // namespace poolmap

int main(int argc, char** argv) {
  try {
    return poolmap::Run().main(std::vector<std::string>(argv + 1, argv + argc)) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
