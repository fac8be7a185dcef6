/* What the screens read out of the JSON objects. What is missing is "-", 0 or false. */
#include "tools/screens.h"

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

bool true_of(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
