/* The memory of Python's objects, handed over by the kernel a whole arena at a time.
 *
 * Python maps its small objects' memory in arenas of a mebibyte (256 KiB before 3.10), and the kernel then stops the program at the
 * first touch of each page of four kibibytes. Where a capture has a hundred thousand connections at once, a third of the
 * time went there. MAP_POPULATE fills an arena in one go, for a third of that. It is a hint: where the kernel cannot, pages come
 * one by one as before. Objects, their addresses and when they are freed stay Python's own business (C API, "Customize Memory
 * Allocators"); only where the memory comes from is said here.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__linux__) && defined(MAP_POPULATE)
static void *
populated(void *context, size_t size)
{
    (void)context;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void
unmapped(void *context, void *memory, size_t size)
{
    (void)context;
    munmap(memory, size);
}
#endif

static PyObject *
populate(PyObject *module, PyObject *arguments)
{
    (void)module;
    (void)arguments;
#if defined(__linux__) && defined(MAP_POPULATE)
    /* Arenas that Python has mapped before are mapped as these are, so what frees these frees those. */
    PyObjectArenaAllocator allocator = {NULL, populated, unmapped};
    PyObject_SetArenaAllocator(&allocator);
    Py_RETURN_TRUE;
#else
    Py_RETURN_FALSE;
#endif
}

static PyMethodDef methods[] = {
    {"populate", populate, METH_NOARGS, "Let new arenas come with all their pages. False where the system has no way to do so."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "tcpscope._arenas",
    .m_doc = "Memory for many objects at once.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__arenas(void)
{
    return PyModule_Create(&definition);
}
