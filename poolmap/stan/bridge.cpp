/*
 * A compiled Stan model as a shared library, for samplers that bring their own algorithm (nutpie).
 *
 * It offers the part of BridgeStan's C interface (version 2.7, https://roualdes.us/bridgestan) that nutpie
 * calls, on top of Stan's public headers. One thing is added: the text of the data may begin with a line of
 * variable names, separated by commas. Then only these variables are told and written out, so that a sampler
 * which keeps every draw in memory keeps no more than what is asked for.
 *
 * A model is not changed once it is made, and may be used by several threads. All errors come back as text.
 */
#include <stan/io/json/json_data.hpp>
#include <stan/math/rev/core/chainablestack.hpp>
#include <stan/model/log_prob_grad.hpp>
#include <stan/model/model_base.hpp>
#include <stan/services/util/create_rng.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

stan::model::model_base& new_model(stan::io::var_context& data, unsigned int seed, std::ostream* messages);

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::set<std::string> split(const std::string& text) {
  std::set<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.insert(part);
  return parts;
}

/* Does the work and gives 0, or puts what went wrong into `error` and gives -1. */
template <typename Work>
int guarded(char** error, Work work) {
  std::string said = "an error of unknown kind";
  try {
    work();
    return 0;
  } catch (const std::exception& e) {
    said = e.what();
  } catch (...) {
  }
  if (error) *error = strdup(said.c_str());
  return -1;
}

int absent(char** error) {
  return guarded(error, [] { throw std::logic_error("poolmap's libraries do not offer this function"); });
}

}  // namespace

extern "C" {

struct bs_rng {
  stan::rng_t state;
};

struct bs_model {
  std::unique_ptr<stan::model::model_base> model;
  std::string name, names, free_names;
  std::vector<Eigen::Index> kept;  // places among all that the program writes out
  int n_free = 0;

  bs_model(std::string text, unsigned int seed) {
    std::set<std::string> wanted;
    if (const auto end = text.find('\n'); !text.empty() && text[0] != '{' && end != std::string::npos) {
      wanted = split(text.substr(0, end));
      text.erase(0, end);
    }
    std::istringstream in(text);
    stan::json::json_data data(in);
    std::ostringstream messages;
    model.reset(&new_model(data, seed, &messages));
    name = model->model_name();
    std::vector<std::string> all, chosen, unconstrained;
    model->constrained_param_names(all, true, true);
    std::set<std::string> missing = wanted;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::string variable = all[i].substr(0, all[i].find('.'));
      missing.erase(variable);
      if (!wanted.empty() && !wanted.count(variable)) continue;
      kept.push_back(static_cast<Eigen::Index>(i));
      chosen.push_back(all[i]);
    }
    if (!missing.empty()) throw std::invalid_argument("the program has no variable " + *missing.begin());
    model->unconstrained_param_names(unconstrained, false, false);
    names = joined(chosen);
    free_names = joined(unconstrained);
    n_free = static_cast<int>(unconstrained.size());
  }
};

int bs_major_version = 2, bs_minor_version = 7, bs_patch_version = 0;

void bs_free_error_msg(char* message) { std::free(message); }

bs_model* bs_model_construct(const char* data, unsigned int seed, char** error) {
  bs_model* made = nullptr;
  guarded(error, [&] { made = new bs_model(data ? data : "{}", seed); });
  return made;
}

void bs_model_destruct(bs_model* m) { delete m; }

const char* bs_name(const bs_model* m) { return m->name.c_str(); }

/* nutpie asks whether several threads may use the model */
const char* bs_model_info(const bs_model*) { return "STAN_THREADS=true"; }

const char* bs_param_names(const bs_model* m, bool, bool) { return m->names.c_str(); }

int bs_param_num(const bs_model* m, bool, bool) { return static_cast<int>(m->kept.size()); }

const char* bs_param_unc_names(const bs_model* m) { return m->free_names.c_str(); }

int bs_param_unc_num(const bs_model* m) { return m->n_free; }

bs_rng* bs_rng_construct(unsigned int seed, char** error) {
  bs_rng* made = nullptr;
  guarded(error, [&] { made = new bs_rng{stan::services::util::create_rng(seed, 1)}; });
  return made;
}

void bs_rng_destruct(bs_rng* rng) { delete rng; }

/* The variables at a point of the unconstrained space; where generated quantities fail, as with Stan's own
   sampler, not a number. */
int bs_param_constrain(const bs_model* m, bool, bool, const double* at, double* values, bs_rng* rng,
                       char** error) {
  return guarded(error, [&] {
    static thread_local stan::math::ChainableStack stack;
    Eigen::VectorXd point = Eigen::Map<const Eigen::VectorXd>(at, m->n_free), all;
    if (!rng) throw std::invalid_argument("generated quantities need a random number generator");
    try {
      m->model->write_array(rng->state, point, all, true, true, nullptr);
    } catch (const std::domain_error&) {
      std::fill_n(values, m->kept.size(), std::numeric_limits<double>::quiet_NaN());
      return;
    }
    for (std::size_t i = 0; i < m->kept.size(); ++i) values[i] = all[m->kept[i]];
  });
}

/* Log density without its constants, with the Jacobian, and its gradient: what samplers need. */
int bs_log_density_gradient(const bs_model* m, bool propto, bool jacobian, const double* at, double* value,
                            double* gradient, char** error) {
  return guarded(error, [&] {
    static thread_local stan::math::ChainableStack stack;
    if (!propto || !jacobian) throw std::invalid_argument("only the density that samplers need is offered");
    Eigen::VectorXd point = Eigen::Map<const Eigen::VectorXd>(at, m->n_free), slope;
    *value = stan::model::log_prob_grad<true, true>(*m->model, point, slope, nullptr);
    Eigen::Map<Eigen::VectorXd>(gradient, m->n_free) = slope;
  });
}

/* The rest of the interface: nutpie needs it to be there and does not call it. */

int bs_param_unconstrain(const bs_model*, const double*, double*, char** error) { return absent(error); }

int bs_param_unconstrain_json(const bs_model*, const char*, double*, char** error) { return absent(error); }

int bs_log_density(const bs_model*, bool, bool, const double*, double*, char** error) { return absent(error); }

int bs_log_density_hessian(const bs_model*, bool, bool, const double*, double*, double*, double*, char** error) {
  return absent(error);
}

int bs_log_density_hessian_vector_product(const bs_model*, bool, bool, const double*, const double*, double*,
                                          double*, char** error) {
  return absent(error);
}

int bs_set_print_callback(void (*)(const char*, std::size_t), char** error) { return absent(error); }

}  // extern "C"
