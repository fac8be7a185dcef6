/* The module itself: its parts, and the exceptions that they raise. */
#include "tools/python/src/module.h"

#include <string.h>

#include "ring/inside.h"

struct error_types error_types;

void error_raise(int code, const char *text)
{
    PyObject *e = PyObject_CallFunction(error_types.of, "iN", code, describe_text(text, strlen(text)));
    if (e != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
        Py_DECREF(e);
    }
}

bool error_raised(int code, const char *text)
{
    if (code != 0 && PyErr_Occurred() == NULL) {
        error_raise(code, text);
    }
    return PyErr_Occurred() != NULL;
}

PyTypeObject *module_add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL || PyModule_AddObjectRef(module, name, type) != 0) {
        Py_XDECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

/* sluice/__init__.py has imported it before. */
static int find_errors(void)
{
    PyObject *errors = PyImport_ImportModule("sluice.errors");
    if (errors == NULL) {
        return -1;
    }
    const struct {
        PyObject **place;
        const char *name;
    } wanted[] = {{&error_types.of, "_of"},          {&error_types.closed, "Closed"},
                  {&error_types.evicted, "Evicted"}, {&error_types.forked, "Forked"},
                  {&error_types.overrun, "Overrun"}, {&error_types.server_gone, "ServerGone"}};
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].place = PyObject_GetAttrString(errors, wanted[i].name);
        code = *wanted[i].place != NULL ? 0 : -1;
    }
    Py_DECREF(errors);
    return code;
}

static int add_names(PyObject *module, const char *attribute, const char *name_of(uint32_t), uint32_t count)
{
    PyObject *names = PyTuple_New(count);
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(name_of(i));
        if (name == NULL || PyTuple_SetItem(names, i, name) != 0) {
            Py_CLEAR(names);
        }
    }
    int code = names != NULL ? PyModule_AddObjectRef(module, attribute, names) : -1;
    Py_XDECREF(names);
    return code;
}

static int add_constants(PyObject *module)
{
    const struct sluice_ledger *ledger = NULL;
    if (add_names(module, "LOSSES", sluice_loss_name, sizeof(ledger->lost) / 8) != 0 ||
        add_names(module, "REFUSALS", sluice_refusal_name, sizeof(ledger->refused) / 8) != 0 ||
        add_names(module, "TYPES", sluice_type_name, 11) != 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "version", SLUICE_VERSION);
}

/* What is here belongs to the process, as the connections do: the interpreter that imported it first has it, also
 * when that was a subinterpreter, and has ended. */
static int one_interpreter(void)
{
    static int64_t owner = -1; /* a number that no other ever gets; an address would be used again */
    int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    if (owner != -1 && owner != id) {
        PyErr_SetString(PyExc_ImportError,
                        "sluice works in one interpreter of a process, the first that imports it: import it in the "
                        "main one, and hand arrays on from there");
        return -1;
    }
    owner = id;
    return 0;
}

/* A request has been interrupted: it goes on unless a handler of Python's raises, as Ctrl-C does. What it raised
 * stays set for the thread that asked. */
static bool has_raised(void)
{
    PyGILState_STATE state = PyGILState_Ensure();
    bool is_raised = PyErr_Occurred() != NULL || PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return is_raised;
}

static int execute(PyObject *module)
{
    int (*const parts[])(PyObject *) = {memory_register, batch_register, reader_register, server_register,
                                        stats_register};
    if (one_interpreter() != 0 || find_errors() != 0 || add_constants(module) != 0) {
        return -1;
    }
    ring_on_signal(has_raised);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i](module) != 0) {
            return -1;
        }
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_sluice",
                                 .m_doc = "libsluice for the package sluice; not for use by itself",
                                 .m_slots = slots};

PyMODINIT_FUNC PyInit__sluice(void); // NOLINT(readability-identifier-naming): the interpreter's name for it
PyMODINIT_FUNC PyInit__sluice(void)  // NOLINT(readability-identifier-naming)
{
    return PyModuleDef_Init(&definition);
}
