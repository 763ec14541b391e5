#ifdef __cplusplus
extern "C" {
#endif
int count_word(const char *const *list, const char *word);
extern const char *const word_list[];
#ifdef __cplusplus
}
#endif
